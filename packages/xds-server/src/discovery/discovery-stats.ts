/** Counters of the discovery service since its start, by type URL where that says something. */
export class DiscoveryStats {
  readonly pushes = new Map<string, number>();
  readonly rejects = new Map<string, number>();
  bytes = 0;
  internalErrors = 0;
  refused = 0;
  registrationsRefused = 0;

  pushed(typeUrl: string, bytes: number): void {
    count(this.pushes, typeUrl);
    this.bytes += bytes;
  }

  rejected(typeUrl: string): void {
    count(this.rejects, typeUrl);
  }
}

/** Type URLs come from clients: invented ones must not fill the memory. */
const maxTypes = 64;

function count(counts: Map<string, number>, typeUrl: string): void {
  const key = counts.has(typeUrl) || counts.size < maxTypes ? typeUrl : 'other';
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
