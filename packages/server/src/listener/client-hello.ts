// Whose TLS a client begins: the mesh's, or that of the application itself. As Istio tells them apart, by what the client offers.

/** Longer than any ClientHello in use: beyond it nobody is waited for. */
const longest = 16_384 + 5;

/** Undefined while there is too little to say. `bytes`: no TLS at all. */
export type Opening = 'mesh' | 'bytes' | undefined;

/** @param seen all that the client has sent so far. */
export function opening(seen: Buffer): Opening {
  if (seen.length === 0) return undefined;
  if (seen[0] !== 22) return 'bytes';
  if (seen.length < 5) return undefined;
  const end = 5 + seen.readUInt16BE(3);
  if (end > longest) return 'bytes';
  if (seen.length < end) return undefined;
  try {
    return isOfMesh(seen.subarray(5, end)) ? 'mesh' : 'bytes';
  } catch {
    // A length that leads out of it: no ClientHello that anybody could answer.
    return 'bytes';
  }
}

/** RFC 8446 §4.1.2. */
function isOfMesh(hello: Buffer): boolean {
  if (hello[0] !== 1) return false;
  let at = 4 + 2 + 32;
  at += 1 + hello.readUInt8(at); // session
  at += 2 + hello.readUInt16BE(at); // cipher suites
  at += 1 + hello.readUInt8(at); // compression
  const end = at + 2 + hello.readUInt16BE(at);
  at += 2;
  while (at + 4 <= end) {
    const type = hello.readUInt16BE(at);
    const length = hello.readUInt16BE(at + 2);
    const body = hello.subarray(at + 4, at + 4 + length);
    if (type === serverName && body.toString('latin1', 5).startsWith('outbound_.')) return true;
    if (type === applicationProtocols && protocols(body).some((name) => name === 'istio' || name === 'istio-peer-exchange')) return true;
    at += 4 + length;
  }
  return false;
}

const serverName = 0;
const applicationProtocols = 16;

function protocols(body: Buffer): string[] {
  const names: string[] = [];
  for (let at = 2; at < body.length; at += 1 + body.readUInt8(at)) names.push(body.toString('latin1', at + 1, at + 1 + body.readUInt8(at)));
  return names;
}
