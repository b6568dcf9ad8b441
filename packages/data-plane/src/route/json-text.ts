// Values of metadata in headers, letter for letter as Envoy writes them.

/** JSON with numbers as `numberText` has them. */
export function jsonText(value: unknown): string {
  if (typeof value === 'number') return numberText(value);
  if (Array.isArray(value)) return `[${value.map(jsonText).join(',')}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  return `{${Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}:${jsonText(item)}`).join(',')}}`;
}

/** As std::to_chars of C++: the shorter notation, the plain one of two that are equally long (`100000` is `1e+05`, `120000` itself). */
export function numberText(value: number): string {
  if (!Number.isFinite(value)) return 'null';
  const [digits, exponent = '0'] = value.toExponential().split('e');
  const scientific = `${digits}e${exponent[0]}${exponent.slice(1).padStart(2, '0')}`;
  // Whole ones to the last digit; where String itself takes the exponent, the other notation is longer anyway.
  const plain = Number.isInteger(value) ? String(BigInt(value)) : String(value);
  return plain.length <= scientific.length && !plain.includes('e') ? plain : scientific;
}
