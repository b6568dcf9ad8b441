/** Counters of the discovery service since its start, by type URL where that says something. */
export class DiscoveryStats {
  readonly pushes = new Map<string, number>();
  readonly rejects = new Map<string, number>();
  bytes = 0;
  internalErrors = 0;
  refused = 0;

  pushed(typeUrl: string, bytes: number): void {
    this.pushes.set(typeUrl, (this.pushes.get(typeUrl) ?? 0) + 1);
    this.bytes += bytes;
  }

  rejected(typeUrl: string): void {
    this.rejects.set(typeUrl, (this.rejects.get(typeUrl) ?? 0) + 1);
  }
}
