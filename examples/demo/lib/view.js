// The live view: a block that redraws itself in a terminal, one line a second elsewhere.
import { share } from './load.js';

const bold = (text) => (process.stdout.isTTY ? `\x1b[1m${text}\x1b[0m` : text);
const dim = (text) => (process.stdout.isTTY ? `\x1b[2m${text}\x1b[0m` : text);
const colour = (ok, text) => (process.stdout.isTTY ? `\x1b[${ok ? 32 : 31}m${text}\x1b[0m` : text);

export class View {
  #load;
  #timer;
  #drawn = 0;

  constructor(load) {
    this.#load = load;
  }

  start() {
    this.#timer = setInterval(() => this.#draw(), process.stdout.isTTY ? 250 : 1000);
  }

  /** Prints above the live block. */
  say(text = '') {
    this.#clear();
    process.stdout.write(`${text}\n`);
  }

  announce(number, title, look) {
    this.say();
    this.say(`${bold(`Act ${number}: ${title}`)}`);
    this.say(dim(`  Look at: ${look}`));
  }

  verdict(ok, seen) {
    this.say(`  ${colour(ok, ok ? 'held' : 'DID NOT HOLD')}: ${seen}`);
  }

  #draw() {
    const now = performance.now();
    const { total, failed, p50, p99, versions, callers } = this.#load.window(now - 2000, now - 100);
    const split = Object.keys(versions).toSorted().map((version) => `${version} ${Math.round(share(versions, version) * 100)} %`).join('  ');
    const rate = `${(total / 1.9).toFixed(0).padStart(4)} req/s`;
    const success = `${total === 0 ? '  –' : (((total - failed) / total) * 100).toFixed(1)} % ok`;
    const latency = `p50 ${p50.toFixed(1)} ms  p99 ${p99.toFixed(1)} ms`;
    const caller = Object.keys(callers)[0] ?? '';
    if (!process.stdout.isTTY) {
      process.stdout.write(`  ${rate}  ${success}  ${latency}  ${split}  payments was called by ${caller}\n`);
      return;
    }
    this.#clear();
    const bar = (version) => '█'.repeat(Math.round(share(versions, version) * 40));
    const lines = [
      dim('─'.repeat(72)),
      `${bold(rate)}   ${colour(failed === 0, success)}   ${latency}`,
      ...Object.keys(versions).toSorted().map((version) => `payments ${version} ${`${Math.round(share(versions, version) * 100)} %`.padStart(5)} ${bar(version)}`),
      dim(`payments is called by ${caller}`),
    ];
    process.stdout.write(`${lines.join('\n')}\n`);
    this.#drawn = lines.length;
  }

  #clear() {
    if (this.#drawn > 0) process.stdout.write(`\x1b[${this.#drawn}A\x1b[0J`);
    this.#drawn = 0;
  }

  stop() {
    clearInterval(this.#timer);
    this.#clear();
  }
}

export function table(rows) {
  const width = [0, 1].map((column) => Math.max(...rows.map((row) => row[column].length)));
  const line = ([promised, seen, ok]) => `${promised.padEnd(width[0])}  ${seen.padEnd(width[1])}  ${colour(ok, ok ? 'held' : 'DID NOT HOLD')}`;
  return [bold(`${'Promised'.padEnd(width[0])}  ${'Seen'.padEnd(width[1])}  `), ...rows.map(line)].join('\n');
}
