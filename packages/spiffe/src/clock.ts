export interface Timer {
  cancel(): void;
}

/** Time as everything with a timer sees it, so that tests can turn it. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Runs `fn` once after `ms`. The timer does not keep the process alive. */
  setTimeout(fn: () => void, ms: number): Timer;
}

// Node fires a longer delay after 1 ms instead.
const longestDelay = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: Date.now,
  setTimeout(fn, ms) {
    let timer: NodeJS.Timeout;
    const wait = (left: number) => {
      timer = setTimeout(() => (left > longestDelay ? wait(left - longestDelay) : fn()), Math.min(left, longestDelay)).unref();
    };
    wait(Math.max(0, ms));
    return { cancel: () => clearTimeout(timer) };
  },
};
