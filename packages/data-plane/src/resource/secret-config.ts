/** A Secret, decoded. Only trusted roots travel as secrets: private keys stay where they were made. */
export interface SecretConfig {
  name: string;
  /** PEM, as sent. */
  trustedCaPem: string;
}
