// The body of a node request on its way through filters: what the application reads is what came out of them. Chunks are taken where
// Node hands them to the request, so that parsers, pipes and async iteration all read the same.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest } from 'node:http2';
import type { BodyPipe, InboundBodies, RequestHead } from '@weft/data-plane/internal';

type Push = (chunk: unknown, encoding?: BufferEncoding) => boolean;

/** Waiting for filters to decide, this much stops the sender. */
const heldLimit = 65_536;

interface Intake {
  readonly push: Push;
  readonly held: (Buffer | null)[];
  heldBytes: number;
  pipe: BodyPipe | undefined;
}

const intakeOf = Symbol('weft.intake');
type Taken = IncomingMessage & { [intakeOf]?: Intake };

export const nodeBodies: InboundBodies<ServerResponse> = {
  hasBody({ req: request }) {
    if (request.httpVersionMajor >= 2) return !(request as unknown as Http2ServerRequest).stream.endAfterHeaders;
    const { 'content-length': length, 'transfer-encoding': encoding } = request.headers;
    return encoding !== undefined || (length !== undefined && Number(length) > 0);
  },
  read(response, pipe) {
    const request: Taken = response.req;
    const intake = request[intakeOf] ?? take(request);
    intake.pipe = pipe;
    pipe.source = { pause: () => undefined, resume: () => more(request) };
    // Whoever waits for the body here has to ask for it.
    if (request.headers.expect === '100-continue' && !response.headersSent) response.writeContinue();
    for (const chunk of intake.held.splice(0)) give(pipe, chunk);
    intake.heldBytes = 0;
    more(request);
  },
};

/** Keeps what arrives away from the request's own buffer until `read` or `openBody`: once it is in there, no filter can see it. */
export function holdBody(request: Taken): void {
  if (request[intakeOf] || request.complete || request.readableLength > 0) return;
  take(request);
}

/** The application may read. */
export function openBody(request: Taken, head: RequestHead): void {
  const intake = request[intakeOf];
  if (!intake) return;
  const { pipe, push } = intake;
  if (!pipe) {
    delete (request as Partial<Taken>).push;
    for (const chunk of intake.held) push.call(request, chunk);
    return more(request);
  }
  // A filter that changes bytes took the length away. What is left has to say that there is a body, or parsers pass it by.
  if (request.httpVersionMajor < 2 && !head.headers.has('content-length') && !head.headers.has('transfer-encoding')) head.headers.set('transfer-encoding', 'chunked');
  const { _read: read } = request;
  request._read = (size) => {
    pipe.resume();
    read.call(request, size);
  };
  pipe.open({ data: (chunk) => push.call(request, chunk), end: () => void push.call(request, null) });
}

function take(request: Taken): Intake {
  if (request.readableLength > 0 || (request.complete && !request.readableEnded)) throw new Error('the request was read before the mesh saw it: its middleware comes first');
  const intake: Intake = { push: request.push as Push, held: [], heldBytes: 0, pipe: undefined };
  request[intakeOf] = intake;
  request.push = (chunk: unknown, encoding?: BufferEncoding) => {
    // The stream of HTTP/2 is gone, and Node reads what is left of it away: without an end that would be an assertion that fails, and the process.
    if (chunk === null && isGone(request)) return intake.push.call(request, null);
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk, encoding) : (chunk as Buffer | null);
    if (intake.pipe) return give(intake.pipe, bytes);
    intake.held.push(bytes);
    return (intake.heldBytes += bytes?.length ?? 0) < heldLimit;
  };
  return intake;
}

function give(pipe: BodyPipe, chunk: Buffer | null): boolean {
  if (chunk !== null) return pipe.write(chunk);
  pipe.end();
  return false;
}

/** HTTP/1: reading by the request's own method would count as the application having read it. HTTP/2 begins to read there. */
function more(request: IncomingMessage): void {
  if (isGone(request)) return;
  if (request.httpVersionMajor >= 2) request._read(0);
  else if (!request.destroyed) request.socket.resume();
}

/** Whether nothing can be read from the request's stream any more, nor written to it: of HTTP/2, whose messages do not say so. */
export function isGone(request: IncomingMessage): boolean {
  return request.httpVersionMajor >= 2 && (request as unknown as Http2ServerRequest).stream.destroyed;
}
