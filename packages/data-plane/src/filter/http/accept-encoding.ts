// Which of the compressors of a chain compresses a response. One decision a request, which all of them follow.
import type { ContentCoding } from '../compression.js';

/** A compressor that takes part. */
export interface Candidate {
  readonly coding: ContentCoding;
  readonly chooseFirst: boolean;
  allowsContentType(type: string | undefined): boolean;
}

/** As Envoy reads Accept-Encoding: the first of the highest quality counts, `*` is whichever compressor comes first, the case of names counts. */
export function chooseCoding(acceptEncoding: string, candidates: readonly Candidate[], contentType: string | undefined): ContentCoding | undefined {
  const allowed: string[] = [];
  const first = new Set<string>();
  for (const { coding, chooseFirst, allowsContentType } of candidates) {
    if (!allowsContentType(contentType)) continue;
    if (!allowed.includes(coding)) allowed.push(coding);
    if (chooseFirst) first.add(coding);
  }
  const wishes: { name: string; quality: number }[] = [];
  for (const token of acceptEncoding.split(',')) {
    const [name = '', parameter] = token.split(';', 2).map((part) => part.trim());
    if (name === '') continue;
    let quality = 1;
    const value = parameter === undefined ? undefined : /^q\s*=(.*)$/i.exec(parameter)?.[1]?.trim();
    if (value !== undefined) {
      quality = value === '' ? NaN : Number(value);
      if (Number.isNaN(quality)) continue;
    }
    wishes.push({ name, quality });
    if (quality === 0 && allowed.includes(name)) allowed.splice(allowed.indexOf(name), 1);
  }
  let choice = { name: 'identity', quality: 0 };
  for (const wish of wishes) {
    const better = wish.quality > choice.quality || (wish.quality === choice.quality && wish.quality > 0 && first.has(wish.name));
    if (better && (allowed.includes(wish.name) || wish.name === 'identity' || wish.name === '*')) choice = wish;
  }
  if (choice.quality === 0 || choice.name === 'identity') return undefined;
  return (choice.name === '*' ? allowed[0] : choice.name) as ContentCoding | undefined;
}
