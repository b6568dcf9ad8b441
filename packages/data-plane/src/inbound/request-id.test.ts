import { expect, it } from 'vitest';
import { requestId } from './request-id.js';

it('request IDs are UUIDs of version 4, none twice, with every digit everywhere', () => {
  const ids = Array.from({ length: 2000 }, requestId);
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(new Set(ids).size).toBe(ids.length);
  for (let i = 0; i < 36; i++) {
    const digits = new Set(ids.map((id) => id[i])).size;
    expect(digits, `digit ${i}`).toBe([8, 13, 18, 23].includes(i) ? 1 : i === 14 ? 1 : i === 19 ? 4 : 16);
  }
});
