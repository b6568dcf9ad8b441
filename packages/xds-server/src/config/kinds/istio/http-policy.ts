// Parts of an HTTP route beside its match and action: retries, rewrite, CORS.
import type { CorsPolicy, RetryPolicy, Rewrite, StringMatch } from '../../../model/route-rule.js';
import type { Fields } from '../../fields.js';
import { re2Problem } from '../../re2-pattern.js';
import { readStringMatch } from './string-match.js';

const retryWords = new Set([
  '5xx', 'gateway-error', 'reset', 'reset-before-request', 'connect-failure', 'envoy-ratelimited', 'retriable-4xx', 'refused-stream',
  'retriable-status-codes', 'retriable-headers', 'http3-post-connect-failure',
  'cancelled', 'deadline-exceeded', 'internal', 'resource-exhausted', 'unavailable',
]);

export function readRetries(parent: Fields): RetryPolicy | undefined {
  const fields = parent.object('retries');
  if (!fields) return undefined;
  const words = (fields.string('retryOn') ?? '').split(',').map((word) => word.trim()).filter(Boolean);
  const statusCodes: number[] = [];
  const retryOn: string[] = [];
  for (const word of words) {
    if (/^\d+$/.test(word)) {
      if (Number(word) < 100 || Number(word) > 599) fields.error('retryOn', `${word} is not an HTTP status`);
      statusCodes.push(Number(word));
    } else if (retryWords.has(word)) retryOn.push(word);
    else fields.error('retryOn', `${JSON.stringify(word)} is not a retry condition`);
  }
  const attempts = fields.integer('attempts', { max: 2 ** 31 - 1 });
  const perTryTimeoutMs = fields.duration('perTryTimeout');
  const backoffMs = fields.duration('backoff');
  const policy: RetryPolicy = {
    attempts: attempts ?? 0,
    retryOn,
    statusCodes,
    ignorePreviousHosts: fields.boolean('retryIgnorePreviousHosts') ?? true,
    remoteLocalities: fields.boolean('retryRemoteLocalities') ?? false,
    ...(perTryTimeoutMs !== undefined && { perTryTimeoutMs }),
    ...(backoffMs !== undefined && { backoffMs }),
  };
  fields.finish();
  if (!attempts && words.length > 0) fields.warn('attempts', 'is 0: nothing is retried, and the other settings have no effect');
  return policy;
}

export function readRewrite(parent: Fields): Rewrite | undefined {
  const fields = parent.object('rewrite');
  if (!fields) return undefined;
  fields.exclusive('uri', 'uriRegexRewrite');
  const uri = fields.string('uri');
  const authority = fields.string('authority');
  const regex = fields.object('uriRegexRewrite');
  const match = regex?.requiredString('match') ?? '';
  const replacement = regex?.string('rewrite') ?? '';
  regex?.finish();
  fields.finish();
  const problem = match && re2Problem(match);
  if (problem) regex?.error('match', problem);
  return { ...(uri !== undefined && { uri }), ...(authority && { authority }), ...(regex && { uriRegex: { match, rewrite: replacement } }) };
}

export function readCors(parent: Fields): CorsPolicy | undefined {
  const fields = parent.object('corsPolicy');
  if (!fields) return undefined;
  fields.exclusive('allowOrigins', 'allowOrigin');
  // The deprecated form lists origins by exact value; `*` there means any.
  const old = fields.strings('allowOrigin').map((value): StringMatch => (value === '*' ? { kind: 'regex', value: '.*' } : { kind: 'exact', value }));
  const allowOrigins = fields.list('allowOrigins').flatMap((entry) => readStringMatch(entry) ?? []);
  const maxAge = fields.duration('maxAge');
  const allowCredentials = fields.boolean('allowCredentials');
  const unmatched = fields.oneOf('unmatchedPreflights', ['UNSPECIFIED', 'FORWARD', 'IGNORE']);
  const policy: CorsPolicy = {
    allowOrigins: [...old, ...allowOrigins],
    allowMethods: fields.strings('allowMethods'),
    allowHeaders: fields.strings('allowHeaders'),
    exposeHeaders: fields.strings('exposeHeaders'),
    ...(maxAge !== undefined && { maxAgeSeconds: Math.floor(maxAge / 1000) }),
    ...(allowCredentials !== undefined && { allowCredentials }),
    ...(unmatched === 'IGNORE' && { ignoreUnmatchedPreflights: true }),
  };
  fields.finish();
  return policy;
}
