import type { HeaderMap } from '@weft/data-plane/internal';

/** Tells what became of headers, name by name. Few names and fewer changes: scanning is cheaper than sets. */
export function diffHeaders(before: HeaderMap, after: HeaderMap, change: { set(name: string, values: string[]): void; remove(name: string): void }): void {
  eachName(after, (name) => {
    if (after.joined(name) !== before.joined(name)) change.set(name, after.all(name));
  });
  eachName(before, (name) => {
    if (!after.has(name)) change.remove(name);
  });
}

function eachName({ raw }: HeaderMap, fn: (name: string) => void): void {
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string;
    let first = 0;
    while (raw[first] !== name) first += 2;
    if (first === i) fn(name);
  }
}
