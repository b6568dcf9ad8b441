// What outbound requests inherit from the inbound request that is being handled, without code of the application.
import { AsyncLocalStorage } from 'node:async_hooks';

export interface RequestContext {
  /** W3C trace context of the inbound request's server span. */
  readonly traceparent?: string;
  readonly tracestate?: string;
  /** performance.now() based. Outbound requests end no later. */
  readonly deadline?: number;
  /** The inbound request is itself a retry. */
  readonly retry?: boolean;
  /** Aborted when the inbound caller went away; outbound requests are cancelled with it. */
  readonly signal?: AbortSignal;
}

const storage = new AsyncLocalStorage<RequestContext>();

export function runInContext<T>(context: RequestContext, fn: () => T): T {
  return storage.run(context, fn);
}

/** Undefined outside of an inbound request. */
export function currentContext(): RequestContext | undefined {
  return storage.getStore();
}
