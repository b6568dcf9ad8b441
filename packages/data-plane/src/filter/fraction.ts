import type { FractionConfig } from '../resource/matcher-config.js';
import type { FilterContext } from './http-filter.js';

/** True for `numerator` of `denominator` draws. */
export function compileFraction({ numerator, denominator }: FractionConfig, context: Pick<FilterContext, 'random' | 'randomBelow'>): () => boolean {
  if (numerator === 0) return () => false;
  if (numerator >= denominator) return () => true;
  return () => (context.randomBelow?.(denominator) ?? Math.floor(context.random() * denominator)) < numerator;
}
