import type { StringMatch } from '../../../model/route-rule.js';
import type { Fields } from '../../fields.js';
import { re2Problem } from '../../re2-pattern.js';

/** Istio's StringMatch. `emptyIsPresent`: `{}` means that the header or parameter is there, whatever its value. */
export function readStringMatch(fields: Fields | undefined, { emptyIsPresent = false } = {}): StringMatch | undefined {
  if (!fields) return undefined;
  fields.exclusive('exact', 'prefix', 'regex');
  const exact = fields.string('exact');
  const prefix = fields.string('prefix');
  const regex = fields.string('regex');
  fields.finish();
  if (regex === '*') return { kind: 'present' };
  if (regex !== undefined) {
    const problem = re2Problem(regex);
    if (problem) fields.error('regex', problem);
    return { kind: 'regex', value: regex };
  }
  if (prefix === '') fields.error('prefix', 'must not be empty');
  if (prefix !== undefined) return { kind: 'prefix', value: prefix };
  if (exact !== undefined) return { kind: 'exact', value: exact };
  if (emptyIsPresent) return { kind: 'present' };
  fields.report.error(fields.path, 'needs one of exact, prefix and regex');
  return undefined;
}
