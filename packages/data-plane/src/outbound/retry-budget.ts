// How many retries a client may add to its requests, over time: the budget of Finagle and Linkerd. Beside the cluster's own limits
// (max_retries, retry_budget), which only know how many run at a time, it keeps a failing service from a lasting flood of retries.
import type { Clock } from '@weft/spiffe';
import type { UpstreamCluster } from '../upstream/upstream-cluster.js';

export interface RetryBudgetOptions {
  /** Retries per request that needed none: 0.2 = one in five. Default 0.2. */
  ratio?: number;
  /** Retries that are always there, so that clients with few requests can retry at all. Default 10. */
  minPerSecond?: number;
  /** How long a request counts, milliseconds, 1000 to 60,000. Default 10,000. */
  ttlMs?: number;
}

/** What a retry costs. Requests earn `ratio` of it, as a whole number: with one unit a retry, 0.6 would round to 1 (as in Linkerd). */
const costOfRetry = 1000;
const slots = 10;

/** Of one cluster. */
export class RetryBudget {
  readonly #now: () => number;
  readonly #slotMs: number;
  readonly #earned: number;
  readonly #reserve: number;
  readonly #slots: number[] = Array.from({ length: slots }, () => 0);
  #slot: number;
  #balance = 0;

  constructor({ ratio, minPerSecond, ttlMs }: Required<RetryBudgetOptions>, now: () => number) {
    this.#now = now;
    this.#slotMs = ttlMs / slots;
    this.#earned = Math.round(ratio * costOfRetry);
    this.#reserve = Math.round(minPerSecond * (ttlMs / 1000) * costOfRetry);
    this.#slot = Math.floor(now() / this.#slotMs);
  }

  /** A request is over that needed no retry. */
  deposit(): void {
    this.#add(this.#earned);
  }

  /** False: there is none to be had. */
  withdraw(): boolean {
    this.#expire();
    if (this.#reserve + this.#balance < costOfRetry) return false;
    this.#add(-costOfRetry);
    return true;
  }

  #add(amount: number): void {
    this.#expire();
    const index = this.#slot % slots;
    this.#slots[index] = (this.#slots[index] as number) + amount;
    this.#balance += amount;
  }

  /** What is older than the time to live counts no longer, retries neither. */
  #expire(): void {
    const slot = Math.floor(this.#now() / this.#slotMs);
    const passed = Math.min(slots, Math.max(0, slot - this.#slot));
    for (let i = 1; i <= passed; i++) {
      const index = (this.#slot + i) % slots;
      this.#balance -= this.#slots[index] as number;
      this.#slots[index] = 0;
    }
    // A clock that was set back leaves everything where it is.
    if (slot > this.#slot) this.#slot = slot;
  }
}

/** One budget a cluster, as long as there is the cluster. */
export class RetryBudgets {
  readonly #options: Required<RetryBudgetOptions>;
  readonly #clock: Clock;
  readonly #budgets = new WeakMap<UpstreamCluster, RetryBudget>();

  /** @throws {TypeError} where a number makes no sense. */
  constructor({ ratio = 0.2, minPerSecond = 10, ttlMs = 10_000 }: RetryBudgetOptions, clock: Clock) {
    if (!(ratio >= 0 && ratio <= 1000)) throw new TypeError(`retries.budget.ratio must be 0 to 1000, is ${ratio}`);
    if (!(minPerSecond >= 0 && minPerSecond <= 1e6)) throw new TypeError(`retries.budget.minPerSecond must be 0 to 1000000, is ${minPerSecond}`);
    if (!(ttlMs >= 1000 && ttlMs <= 60_000)) throw new TypeError(`retries.budget.ttlMs must be 1000 to 60000, is ${ttlMs}`);
    this.#options = { ratio, minPerSecond, ttlMs };
    this.#clock = clock;
  }

  of(cluster: UpstreamCluster): RetryBudget {
    let budget = this.#budgets.get(cluster);
    if (!budget) this.#budgets.set(cluster, (budget = new RetryBudget(this.#options, () => this.#clock.now())));
    return budget;
  }
}
