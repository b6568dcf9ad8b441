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

/** Three columns, wrapped to the width of the terminal. */
export function table(rows) {
  const width = Math.max(30, Math.floor(((process.stdout.columns ?? 120) - 20) / 2));
  const lines = [[bold('Promised'.padEnd(width)), bold('Seen'.padEnd(width)), ''].join('  ')];
  for (const [promised, seen, ok] of rows) {
    const [left, right] = [wrap(promised, width), wrap(seen, width)];
    for (let i = 0; i < Math.max(left.length, right.length); i += 1) {
      lines.push([(left[i] ?? '').padEnd(width), (right[i] ?? '').padEnd(width), i === 0 ? colour(ok, ok ? 'held' : 'DID NOT HOLD') : ''].join('  ').trimEnd());
    }
  }
  return lines.join('\n');
}

function wrap(text, width) {
  const lines = [''];
  for (const word of text.split(' ')) {
    if (lines.at(-1).length + word.length + 1 > width && lines.at(-1) !== '') lines.push('');
    lines[lines.length - 1] += (lines.at(-1) === '' ? '' : ' ') + word;
  }
  return lines;
}
