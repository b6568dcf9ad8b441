// What a differential case is made of: resources as plain JSON, requests, and what each side was seen to do with them.

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

/** One listener's worth of configuration: the same on both sides. */
export interface Table {
  /** Envoy's filters between its own observer and the router, as `http_filters`. */
  httpFilters: JsonObject[];
  /** RouteConfiguration. */
  routes: JsonObject;
}

/** What a backend does with one attempt of a request; past the end of its script it answers 200. */
export interface ScriptedAttempt {
  status?: number;
  headers?: [string, string][];
  /** Instead of an answer: the connection is destroyed. */
  reset?: boolean;
  delayMs?: number;
}

export interface CaseRequest {
  method: string;
  path: string;
  authority: string;
  headers: [string, string][];
  body?: string;
  script: ScriptedAttempt[];
}

/** A request as a backend received it. */
export interface Arrival {
  /** `CLUSTER/INDEX`. */
  host: string;
  method: string;
  path: string;
  authority: string;
  headers: HeaderValues;
  bodyBytes: number;
}

/** By lower-case name, values in their order. */
export type HeaderValues = Record<string, string[]>;

/** What one side did with one request. */
export interface Observation {
  /** 0: no response (then `error`). */
  status: number;
  headers: HeaderValues;
  body: string;
  /** Access log: response flags, details, cluster, route. */
  flags: string;
  details: string;
  cluster: string;
  route: string;
  attempts: Arrival[];
  mirrored: Arrival[];
  error?: string;
}

export interface Difference {
  /** `status`, `response x-a`, `attempt 0 path`, … */
  field: string;
  envoy: string;
  weft: string;
}

/** A case with everything needed to see it again. */
export interface Case {
  table: Table;
  request: CaseRequest;
}
