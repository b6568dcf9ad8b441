// Answers of filters with headers that no wire carries: neither the end of the process, nor lines of their own.
import { testFilter } from '@weft/data-plane/testing';
import { expect, it } from 'vitest';
import { raw, request, statusOf, testMesh } from './testing.js';

it.each([[false], [true]])('an answer with a line break in a header becomes a 500 (later: %s)', async (later) => {
  const reply = { status: 403, body: 'no', details: 'test', headers: [['x-good', 'a'], ['x-bad', 'a\r\nx-injected: b']] as [string, string][] };
  const { mesh } = testMesh({ listener: { filters: [testFilter('bad', { decodeHeaders: () => (later ? Promise.resolve(reply) : reply) })] } });
  try {
    const { port } = await mesh.listen((_req, res) => res.end('reached'), { port: 0, host: '127.0.0.1' });
    const text = await raw(port, request('/'));
    expect([statusOf(text), text.includes('x-injected'), text.includes('reached')]).toEqual([500, false, false]);
  } finally {
    await mesh.close();
  }
});
