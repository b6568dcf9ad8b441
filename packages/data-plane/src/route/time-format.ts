// `%START_TIME(FORMAT)%`: the letters of strftime that Envoy's date formatter takes, in UTC.

type Part = string | ((date: Date, micros: number) => string);

const days = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const months = ['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September', 'October', 'November', 'December'];
const two = (value: number) => String(value).padStart(2, '0');

const letters: Readonly<Record<string, (date: Date, micros: number) => string>> = {
  Y: (date) => String(date.getUTCFullYear()),
  y: (date) => two(date.getUTCFullYear() % 100),
  m: (date) => two(date.getUTCMonth() + 1),
  d: (date) => two(date.getUTCDate()),
  e: (date) => String(date.getUTCDate()).padStart(2, ' '),
  j: (date) => String(Math.floor((Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()) - Date.UTC(date.getUTCFullYear(), 0, 1)) / 86_400_000) + 1).padStart(3, '0'),
  H: (date) => two(date.getUTCHours()),
  I: (date) => two(date.getUTCHours() % 12 || 12),
  p: (date) => (date.getUTCHours() < 12 ? 'AM' : 'PM'),
  M: (date) => two(date.getUTCMinutes()),
  S: (date) => two(date.getUTCSeconds()),
  s: (date) => String(Math.floor(date.getTime() / 1000)),
  F: (date) => date.toISOString().slice(0, 10),
  T: (date) => date.toISOString().slice(11, 19),
  a: (date) => days[date.getUTCDay()]!.slice(0, 3),
  A: (date) => days[date.getUTCDay()]!,
  b: (date) => months[date.getUTCMonth()]!.slice(0, 3),
  B: (date) => months[date.getUTCMonth()]!,
  z: () => '+0000',
  Z: () => 'UTC',
  // Nanoseconds are not known.
  f: (_date, micros) => `${String(micros).padStart(6, '0')}000`,
  '%': () => '%',
};

/** Throws for a letter that is not known. `epochMs` may have a fraction. */
export function compileTimeFormat(format: string): (epochMs: number) => string {
  const parts: Part[] = [];
  let from = 0;
  for (const match of format.matchAll(/%([1-9]?)(.?)/gs)) {
    parts.push(format.slice(from, match.index));
    from = match.index + match[0].length;
    const [, width = '', letter = ''] = match;
    const known = letters[letter];
    if (!known || (width !== '' && letter !== 'f')) throw new Error(`${match[0]} is not a letter of a time format: "${format}"`);
    parts.push(width === '' ? known : (date, micros) => known(date, micros).slice(0, Number(width)));
  }
  parts.push(format.slice(from));
  return (epochMs) => {
    const date = new Date(epochMs);
    const micros = Math.floor((epochMs - Math.floor(epochMs / 1000) * 1000) * 1000);
    return parts.map((part) => (typeof part === 'string' ? part : part(date, micros))).join('');
  };
}
