import { HeaderMap } from '@weft/data-plane/internal';
import { expect, test } from 'vitest';
import { metadataOf } from './metadata.js';

test('what edits of a head made of headers never throws: gRPC gets visible ASCII, names it cannot carry are left out', () => {
  const metadata = metadataOf(new HeaderMap(['x-plain', 'a', 'x-plain', 'b', 'x-bad', 'é\r\nc\u0000', 'x!y', 'd', 'x-data-bin', 'AQI=']));
  expect([metadata.get('x-plain'), metadata.get('x-bad'), metadata.getMap()['x!y'], metadata.get('x-data-bin')]).toEqual([['a', 'b'], ['___c_'], undefined, [Buffer.from([1, 2])]]);
});
