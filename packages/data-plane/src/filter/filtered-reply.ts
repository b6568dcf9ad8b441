// Answers of the mesh itself at the filters that see bodies.
import type { HeaderMap } from '../stream/header-map.js';
import type { LocalReply } from '../stream/local-reply.js';
import type { BodyPipe } from './body-pipe.js';

/** What the wire will say of the reply's body, for filters that decide by it. */
export function describeReply({ body }: LocalReply, headers: HeaderMap): void {
  headers.set('content-length', String(typeof body === 'string' ? Buffer.byteLength(body) : body.length));
  if (body.length > 0 && !headers.has('content-type')) headers.add('content-type', 'text/plain');
}

/** Gives the reply on, once its whole body came through the filters. */
export function replyThrough(pipe: BodyPipe, reply: LocalReply, give: (reply: LocalReply) => void): void {
  const chunks: Uint8Array[] = [];
  pipe.open({ data: (chunk) => void chunks.push(chunk), end: () => give({ ...reply, body: Buffer.concat(chunks) }) });
  pipe.write(typeof reply.body === 'string' ? Buffer.from(reply.body) : reply.body);
  pipe.end();
}
