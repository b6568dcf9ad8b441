/** What is known of a caller before it is believed. */
export interface AttestationCall {
  /** The text after `Bearer `. */
  readonly bearer?: string;
  /** From a client certificate that TLS has verified. */
  readonly peer?: { readonly spiffeId: string; readonly certificatePem: string };
}

export interface Attestation {
  readonly spiffeId: string;
}

/** One way to prove an identity to the authority. */
export interface Attestor {
  /** For the audit log. */
  readonly name: string;
  /** Undefined: this is not my kind of proof. @throws {@link AttestationRefused} when it is, and does not hold. */
  attest(call: AttestationCall): Promise<Attestation | undefined>;
}

/** A proof does not hold. The text goes to the caller: it must not say more than it may know. */
export class AttestationRefused extends Error {
  constructor(reason: string, options?: ErrorOptions) {
    super(reason, options);
    this.name = 'AttestationRefused';
  }
}
