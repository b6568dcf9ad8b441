import type { SpiffeId, SvidSource } from '@weft/spiffe';

/** Our own SPIFFE ID as text, written once per identity: metrics and headers ask for it with every request. */
export function principalOf(source: Pick<SvidSource, 'current'> | undefined): () => string | undefined {
  let id: SpiffeId | undefined;
  let text: string | undefined;
  return () => {
    const current = source?.current()?.svid.id;
    if (current !== id) [id, text] = [current, current?.toString()];
    return text;
  };
}
