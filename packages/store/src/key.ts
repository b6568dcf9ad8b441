const maxKeyBytes = 1024;

/** Throws unless `key` is one or more non-empty segments joined by `/`, without control characters. */
export function checkKey(key: string): void {
  // oxlint-disable-next-line no-control-regex -- control characters are what is being refused
  if (!/^[^/\u0000-\u001f\u007f]+(?:\/[^/\u0000-\u001f\u007f]+)*$/.test(key) || Buffer.byteLength(key) > maxKeyBytes) {
    throw new TypeError(`not a store key: ${JSON.stringify(key.slice(0, 80))}`);
  }
}
