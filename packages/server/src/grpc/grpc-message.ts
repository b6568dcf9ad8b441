/** Percent-encoding of `grpc-message` (gRPC over HTTP/2, Responses): everything but printable ASCII, and the percent sign. */
export function grpcMessage(text: string): string {
  return text.replace(/[^\x20-\x24\x26-\x7e]/gu, (character) => encodeURIComponent(character.toWellFormed()));
}
