import type { RouteAction } from '../../../model/route-rule.js';
import type { Fields } from '../../fields.js';
import { readRoute, type DestinationScope } from './http-destination.js';

export type RouteTarget = { action: RouteAction } | { delegate: { namespace: string; delegate: string } };

/** Exactly one of route, redirect, directResponse and delegate. */
export function readTarget(fields: Fields, scope: DestinationScope): RouteTarget | undefined {
  fields.exclusive('route', 'redirect', 'directResponse', 'delegate');
  const route = readRoute(fields, scope);
  const redirect = readRedirect(fields.object('redirect'));
  const direct = readDirectResponse(fields.object('directResponse'));
  const delegate = readDelegate(fields.object('delegate'), scope);
  const action = route ?? redirect ?? direct;
  if (action) return { action };
  if (!delegate) fields.error('route', 'is required: one of route, redirect, directResponse and delegate');
  return delegate && { delegate };
}

function readDelegate(fields: Fields | undefined, { namespace }: DestinationScope): { namespace: string; delegate: string } | undefined {
  if (!fields) return undefined;
  const target = { namespace: fields.string('namespace') || namespace, delegate: fields.requiredString('name') };
  fields.finish();
  return target;
}

const derivePorts = ['FROM_PROTOCOL_DEFAULT', 'FROM_REQUEST_PORT'] as const;
const redirectCodes = [301, 302, 303, 307, 308];

function readRedirect(fields: Fields | undefined): RouteAction | undefined {
  if (!fields) return undefined;
  fields.exclusive('uri', 'prefixRewrite');
  fields.exclusive('port', 'derivePort');
  const uri = fields.string('uri');
  const prefixRewrite = fields.string('prefixRewrite');
  const authority = fields.string('authority');
  const scheme = fields.string('scheme');
  const derive = fields.oneOf('derivePort', derivePorts);
  const port = fields.port('port') ?? (derive === 'FROM_REQUEST_PORT' ? 'dialled' : derive && defaultPort(scheme));
  if (derive && port === undefined) fields.warn('derivePort', `${derive} needs a scheme: the request's own port stays`);
  const status = fields.integer('redirectCode') ?? 301;
  if (!redirectCodes.includes(status)) fields.error('redirectCode', `must be one of ${redirectCodes.join(', ')}, not ${status}`);
  fields.finish();
  return {
    kind: 'redirect',
    status,
    ...(uri !== undefined && { uri }),
    ...(prefixRewrite !== undefined && { prefixRewrite }),
    ...(authority && { authority }),
    ...(scheme && { scheme }),
    ...(port !== undefined && { port }),
  };
}

function defaultPort(scheme: string | undefined): number | undefined {
  return scheme === 'https' ? 443 : scheme === 'http' ? 80 : undefined;
}

/** Istio's own limit; every client of the route gets the body with its configuration. */
const maxBody = 1024 * 1024;

function readDirectResponse(fields: Fields | undefined): RouteAction | undefined {
  if (!fields) return undefined;
  const status = fields.integer('status', { min: 200, max: 599 });
  if (!fields.has('status')) fields.error('status', 'is required');
  const body = fields.object('body');
  body?.exclusive('string', 'bytes');
  const text = body?.string('string');
  const base64 = body?.string('bytes');
  if (base64 !== undefined && !/^[A-Za-z0-9+/_-]*={0,2}$/.test(base64)) body?.error('bytes', 'is not base64');
  const bytes = base64 !== undefined ? Buffer.from(base64, 'base64') : Buffer.from(text ?? '');
  if (bytes.length > maxBody) fields.error('body', `is ${bytes.length} bytes long; at most ${maxBody} are allowed`);
  body?.finish();
  fields.finish();
  return { kind: 'direct-response', status: status ?? 200, body: Uint8Array.from(bytes) };
}
