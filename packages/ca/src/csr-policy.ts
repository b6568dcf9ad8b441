import type { Csr } from './csr-reader.js';

/** A request asks for names that its caller is not granted. */
export class NamesRefused extends Error {
  constructor(spiffeId: string) {
    super(`the CSR asks for other names than ${spiffeId}`);
    this.name = 'NamesRefused';
  }
}

const uniformResourceIdentifier = 0x86;

/**
 * The certificate gets the granted ID and nothing of the CSR, so wrong names do no harm; but whoever sends them expects a
 * certificate that they would not get, and should hear of it. No names at all are in order.
 * @throws {@link NamesRefused}
 */
export function checkNames({ names }: Pick<Csr, 'names'>, spiffeId: string): void {
  if (names.length === 0) return;
  const [name] = names;
  if (names.length > 1 || name?.tag !== uniformResourceIdentifier || name.value !== spiffeId) throw new NamesRefused(spiffeId);
}
