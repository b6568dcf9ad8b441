// The table of errors that Weft gives to applications. docs/reference/errors.md is written from it.
import type { ResponseFlag } from './stream/response-flag.js';

interface ErrorEntry {
  /** What happened; `%s` takes the detail. */
  message: string;
  status: number;
  grpcStatus: number;
  flag?: ResponseFlag;
}

export const errorTable = {
  WEFT_BOOTSTRAP_INVALID: { message: 'the bootstrap is invalid: %s', status: 500, grpcStatus: 13 },
  WEFT_VERSION_MISMATCH: { message: 'two versions of Weft in one process: %s', status: 500, grpcStatus: 13 },
  WEFT_IDENTITY_UNAVAILABLE: { message: 'this process has no identity: %s', status: 503, grpcStatus: 14, flag: 'UF' },
  WEFT_PEER_IDENTITY: { message: 'the identity of the other side is not the expected one: %s', status: 503, grpcStatus: 14, flag: 'UF' },
  WEFT_NO_CONFIG: { message: 'no configuration: %s', status: 503, grpcStatus: 14, flag: 'NC' },
  WEFT_UNKNOWN_HOST: { message: 'no such service in the mesh: %s', status: 503, grpcStatus: 14, flag: 'NR' },
  WEFT_RESOURCE_INVALID: { message: 'a resource was rejected: %s', status: 503, grpcStatus: 14, flag: 'NC' },
  WEFT_WRONG_PROTOCOL: { message: 'dialled as what it is not: %s', status: 503, grpcStatus: 14, flag: 'NR' },
  WEFT_NO_HEALTHY_UPSTREAM: { message: 'no host to connect to: %s', status: 503, grpcStatus: 14, flag: 'UH' },
  WEFT_OVERFLOW: { message: 'too many connections: %s', status: 503, grpcStatus: 14, flag: 'UO' },
  WEFT_CONNECT_FAILED: { message: 'the connection could not be made: %s', status: 503, grpcStatus: 14, flag: 'UF' },
  WEFT_UPSTREAM_RESET: { message: 'the upstream connection failed: %s', status: 503, grpcStatus: 14, flag: 'UC' },
  WEFT_UPSTREAM_TIMEOUT: { message: 'the upstream did not answer in time: %s', status: 504, grpcStatus: 4, flag: 'UT' },
  WEFT_CLOSED: { message: 'the mesh is closed: %s', status: 503, grpcStatus: 14 },
  WEFT_UNSUPPORTED: { message: 'not supported: %s', status: 501, grpcStatus: 12 },
} as const satisfies Record<string, ErrorEntry>;

export type MeshErrorCode = keyof typeof errorTable;

/** An error of the mesh. Tell kinds apart by `code`, never by text or class. */
export class MeshError extends Error {
  readonly code: MeshErrorCode;
  readonly status: number;
  readonly grpcStatus: number;
  readonly flag: ResponseFlag | undefined;

  constructor(code: MeshErrorCode, detail: string, options?: { cause?: unknown }) {
    const entry: ErrorEntry = errorTable[code];
    super(entry.message.replace('%s', () => detail), options);
    this.name = 'MeshError';
    this.code = code;
    this.status = entry.status;
    this.grpcStatus = entry.grpcStatus;
    this.flag = entry.flag;
  }
}
