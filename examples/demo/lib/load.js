// Constant load on the frontend, and what came back, second by second.
import { Pool } from 'undici';

export class Load {
  #pool;
  #timer;
  #next = 0;
  #inFlight = new Set();
  results = [];

  constructor(origin, rate) {
    this.#pool = new Pool(origin, { connections: 64 });
    this.rate = rate;
  }

  start() {
    const began = performance.now();
    let sent = 0;
    this.#timer = setInterval(() => {
      const due = Math.floor(((performance.now() - began) / 1000) * this.rate);
      while (sent < due) {
        sent += 1;
        this.#track(this.send());
      }
    }, 10);
  }

  #track(promise) {
    this.#inFlight.add(promise);
    promise.then(() => this.#inFlight.delete(promise));
  }

  /** One request; its result is kept, and returned. */
  async send(headers = {}) {
    const at = performance.now();
    const result = { at, ok: false, status: 0, canary: 'x-canary' in headers };
    try {
      const { statusCode, body } = await this.#pool.request({ method: 'GET', path: `/orders/${(this.#next += 1)}`, headers });
      const text = await body.text();
      result.status = statusCode;
      result.ok = statusCode === 200;
      if (result.ok) Object.assign(result, JSON.parse(text).payment);
      else result.error = text.slice(0, 300);
    } catch (error) {
      result.error = error.message;
    }
    result.latency = performance.now() - at;
    this.results.push(result);
    if (this.results.length > 60_000) this.results.splice(0, 10_000);
    return result;
  }

  /** What was sent from `since` (performance.now()) on and has come back. */
  window(since, until = Infinity) {
    const chosen = this.results.filter(({ at, canary }) => at >= since && at < until && !canary);
    const latencies = chosen.map(({ latency }) => latency).sort((a, b) => a - b);
    const count = (key) => {
      const counts = {};
      for (const result of chosen) if (result.ok) counts[result[key]] = (counts[result[key]] ?? 0) + 1;
      return counts;
    };
    const failed = chosen.filter(({ ok }) => !ok);
    return {
      total: chosen.length,
      failed: failed.length,
      firstError: failed[0] && `${failed[0].status} ${failed[0].error}`,
      p50: latencies[Math.floor(latencies.length * 0.5)] ?? 0,
      p99: latencies[Math.floor(latencies.length * 0.99)] ?? 0,
      versions: count('version'),
      instances: count('instance'),
      callers: count('caller'),
    };
  }

  /** Waits until everything sent so far has come back. */
  async settle() {
    await Promise.all(this.#inFlight);
  }

  async stop() {
    clearInterval(this.#timer);
    await this.settle();
    await this.#pool.close();
  }
}

export function share(counts, key) {
  const total = Object.values(counts).reduce((sum, value) => sum + value, 0);
  return total === 0 ? 0 : (counts[key] ?? 0) / total;
}
