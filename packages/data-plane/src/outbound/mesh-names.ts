// From what an application dials to the name of a Listener.

export interface MeshNamesOptions {
  /** Default `cluster.local`. */
  clusterDomain?: string;
  /** The process's own namespace, for expansion. Default `default`. */
  namespace?: string;
  /** istiod knows only full names, so ours are completed here; Weft's control plane answers every spelling itself. Default false. */
  expand?: boolean;
  /** gRPC's `client_default_listener_resource_name_template`; `%s` is the name. Default `%s`. */
  template?: string;
}

interface Authority {
  /** Lower case, no trailing dot, no brackets. */
  readonly host: string;
  readonly port: number;
}

const remembered = 1000;

export class MeshNames {
  readonly #clusterDomain: string;
  readonly #namespace: string;
  readonly #expand: boolean;
  readonly #template: string;
  /** By default port, then by what was dialled: a key made of both would have to be made, and hashed, for every request. */
  readonly #listeners = new Map<number, Map<string, string>>();

  constructor({ clusterDomain = 'cluster.local', namespace = 'default', expand = false, template = '%s' }: MeshNamesOptions = {}) {
    this.#clusterDomain = clusterDomain;
    this.#namespace = namespace;
    this.#expand = expand;
    this.#template = template;
  }

  /** `DIALLED:PORT`, the port being the scheme's default where none is written. Undefined: not an authority. */
  listener(authority: string, defaultPort: number): string | undefined {
    let names = this.#listeners.get(defaultPort);
    const known = names?.get(authority);
    if (known !== undefined) return known;
    const parsed = parseAuthority(authority, defaultPort);
    if (!parsed) return undefined;
    const host = this.#expand && isName(parsed.host) ? this.#fullName(parsed.host) : parsed.host;
    const name = this.#template.replaceAll('%s', () => `${host.includes(':') ? `[${host}]` : host}:${parsed.port}`);
    // A process that dials ever new names must not grow with them.
    if (!names) this.#listeners.set(defaultPort, (names = new Map()));
    if (names.size >= remembered) names.clear();
    names.set(authority, name);
    return name;
  }

  /** Whether the name can only be one of the mesh: a single label, or of the cluster's domain. `localhost` is this machine. */
  onlyMesh(authority: string): boolean {
    const host = parseAuthority(authority, 80)?.host ?? '';
    if (host === 'localhost' || !isName(host)) return false;
    return !host.includes('.') || host.endsWith('.svc') || host.endsWith(`.${this.#clusterDomain}`);
  }

  #fullName(host: string): string {
    const labels = host.split('.');
    if (host.endsWith(`.${this.#clusterDomain}`) || host === 'localhost') return host;
    if (labels.length === 1) return `${host}.${this.#namespace}.svc.${this.#clusterDomain}`;
    if (labels.length === 3 && labels[2] === 'svc') return `${host}.${this.#clusterDomain}`;
    if (labels.length === 2) return `${host}.svc.${this.#clusterDomain}`;
    return host;
  }
}

function parseAuthority(authority: string, defaultPort: number): Authority | undefined {
  const match = /^(?:\[([\da-fA-F:.]+)\]|([^:/?#@[\]\s]+))(?::(\d{1,5}))?$/.exec(authority);
  if (!match) return undefined;
  const port = match[3] === undefined ? defaultPort : Number(match[3]);
  const host = (match[1] ?? match[2]!).toLowerCase().replace(/\.$/, '');
  return host === '' || port < 1 || port > 65_535 ? undefined : { host, port };
}

function isName(host: string): boolean {
  return host !== '' && !host.includes(':') && !/^[\d.]+$/.test(host);
}
