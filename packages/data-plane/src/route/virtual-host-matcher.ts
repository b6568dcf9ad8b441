// Which virtual host an authority belongs to: exact, then the longest suffix (`*.foo.com`), then the longest prefix
// (`foo.*`), then `*` (envoy.config.route.v3.VirtualHost.domains).

export class VirtualHostMatcher<T> {
  readonly #exact = new Map<string, T>();
  readonly #suffixes = new Wildcards<T>((host, length) => host.slice(host.length - length));
  readonly #prefixes = new Wildcards<T>((host, length) => host.slice(0, length));
  readonly #ignorePort: boolean;
  #any: T | undefined;

  constructor(options: { ignorePort: boolean }) {
    this.#ignorePort = options.ignorePort;
  }

  /** Throws where the domain is invalid or another virtual host has it already. */
  add(domain: string, virtualHost: T): void {
    const name = domain.toLowerCase();
    if (name === '') throw new Error('a domain must not be empty');
    if (!this.#put(name, virtualHost)) throw new Error(`domain ${domain} is there twice`);
  }

  find(authority: string): T | undefined {
    const lower = authority.toLowerCase();
    const host = this.#ignorePort ? withoutPort(lower) : lower;
    return this.#exact.get(host) ?? this.#suffixes.find(host) ?? this.#prefixes.find(host) ?? this.#any;
  }

  #put(name: string, virtualHost: T): boolean {
    if (name === '*') {
      if (this.#any !== undefined) return false;
      this.#any = virtualHost;
      return true;
    }
    const star = name.indexOf('*');
    if (star !== name.lastIndexOf('*') || (star > 0 && star < name.length - 1)) throw new Error(`domain ${name}: * may only be its first or its last letter`);
    if (star === 0) return this.#suffixes.add(name.slice(1), virtualHost);
    if (star > 0) return this.#prefixes.add(name.slice(0, -1), virtualHost);
    if (this.#exact.has(name)) return false;
    this.#exact.set(name, virtualHost);
    return true;
  }
}

/** Fixed parts of wildcards by their length, so that a look-up costs one map access for each length there is. */
class Wildcards<T> {
  readonly #cut: (host: string, length: number) => string;
  #byLength: { length: number; values: Map<string, T> }[] = [];

  constructor(cut: (host: string, length: number) => string) {
    this.#cut = cut;
  }

  add(fixed: string, value: T): boolean {
    let group = this.#byLength.find(({ length }) => length === fixed.length);
    if (!group) {
      group = { length: fixed.length, values: new Map() };
      this.#byLength = [...this.#byLength, group].sort((a, b) => b.length - a.length);
    }
    if (group.values.has(fixed)) return false;
    group.values.set(fixed, value);
    return true;
  }

  find(host: string): T | undefined {
    for (const { length, values } of this.#byLength) {
      // The star stands for one letter or more.
      if (length >= host.length) continue;
      const found = values.get(this.#cut(host, length));
      if (found !== undefined) return found;
    }
    return undefined;
  }
}

/** Where the port of an authority starts (at its colon), or its length. IPv6 addresses are in brackets. */
export function portStart(authority: string): number {
  const colon = authority.lastIndexOf(':');
  return colon === -1 || colon < authority.lastIndexOf(']') || !/^\d+$/.test(authority.slice(colon + 1)) ? authority.length : colon;
}

function withoutPort(authority: string): string {
  return authority.slice(0, portStart(authority));
}
