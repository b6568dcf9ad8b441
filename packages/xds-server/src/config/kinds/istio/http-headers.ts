import type { HeaderEdits } from '../../../model/route-rule.js';
import type { Fields } from '../../fields.js';

/** `headers.request` and `headers.response` of a route or a destination. */
export function readHeaderEdits(parent: Fields): { requestHeaders?: HeaderEdits; responseHeaders?: HeaderEdits } {
  const fields = parent.object('headers');
  if (!fields) return {};
  const request = readOne(fields.object('request'));
  const response = readOne(fields.object('response'));
  fields.finish();
  return { ...(request && { requestHeaders: request }), ...(response && { responseHeaders: response }) };
}

function readOne(fields: Fields | undefined): HeaderEdits | undefined {
  if (!fields) return undefined;
  const edits = { set: fields.labels('set'), add: fields.labels('add'), remove: fields.strings('remove') };
  fields.finish();
  for (const [field, names] of [['set', Object.keys(edits.set)], ['add', Object.keys(edits.add)], ['remove', edits.remove]] as const) {
    for (const name of names) {
      // Routing decided on them already; the authority changes by rewrite only (VirtualService, Headers).
      if (name.startsWith(':') || name.toLowerCase() === 'host') fields.error(field, `${name} cannot be changed here; use rewrite.authority for the host`);
      else if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) fields.error(field, `${JSON.stringify(name)} is not a header name`);
    }
  }
  for (const field of ['set', 'add'] as const) {
    for (const [name, value] of Object.entries(edits[field])) if (/[\r\n\0]/.test(value)) fields.error(field, `the value of ${name} has a line break or NUL`);
  }
  return edits;
}
