/** A peer is there (`path`) or not (`missing`: why). */
export interface Peer {
  path?: string;
  missing?: string;
}
export function peers(options?: { say?: (text: string) => void }): { envoy: Peer; grpcio: Peer };
