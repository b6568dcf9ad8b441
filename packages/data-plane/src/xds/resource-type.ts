// A resource type of the discovery protocol, and the errors of decoding one.

export interface ResourceType<T> {
  /** `type.googleapis.com/envoy.config.listener.v3.Listener`. */
  readonly typeUrl: string;
  /** For messages: `Listener`. */
  readonly name: string;
  /** SotW: whether a response is the full state, so that absence means deletion (LDS, CDS). */
  readonly fullState: boolean;
  /** The resource's own name, and its meaning. Throws DecodeError. */
  decode(value: Uint8Array): { name: string; resource: T };
}

/** One problem of a resource. `unsupported`: valid, but asks for what Weft does not implement. */
export interface FieldProblem {
  /** `virtual_hosts[0].routes[2].match.safe_regex`, in proto field names. */
  path: string;
  reason: string;
}

export class DecodeError extends Error {
  readonly problems: readonly FieldProblem[];

  constructor(what: string, problems: readonly FieldProblem[]) {
    super(`${what}: ${problems.map(({ path, reason }) => `${path}: ${reason}`).join('; ')}`);
    this.name = 'DecodeError';
    this.problems = problems;
  }
}
