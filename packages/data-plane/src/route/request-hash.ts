// RouteAction.hash_policy: which host a request belongs to under ring hash and maglev.
import { randomUUID } from 'node:crypto';
import type { HashPolicyConfig } from '../resource/route-config.js';
import type { RequestHead } from '../stream/request-head.js';
import type { StreamInfo } from '../stream/stream-info.js';
import { cookie } from './cookie-matcher.js';
import { queryParameter } from './query-matcher.js';
import { compileRegexRewrite } from './regex.js';
import { requestHeader } from './request-header.js';
import { loadXxh64, plainXxh64, xxh64 } from './xxh64.js';

export interface RequestHashResult {
  /** Undefined: nothing to hash; a host is chosen at random. */
  hash: bigint | undefined;
  /** Cookies that were made up because the request had none, as `set-cookie` values for the response. */
  setCookies: readonly string[];
}

export type RequestHash = (head: RequestHead, info: StreamInfo) => RequestHashResult;

/** `undefined` where there is no policy. Throws where one is not supported. */
export function compileRequestHash(policies: readonly HashPolicyConfig[]): RequestHash | undefined {
  if (policies.length === 0) return undefined;
  void loadXxh64();
  const compiled = policies.map((policy) => ({ terminal: policy.terminal, read: compilePolicy(policy) }));
  return (head, info) => {
    let hash: bigint | undefined;
    const setCookies: string[] = [];
    for (const { terminal, read } of compiled) {
      const value = read(head, info, setCookies);
      if (value !== undefined) {
        const own = typeof value === 'bigint' ? value : hashOf(value, 0n);
        hash = hash === undefined ? own : (BigInt.asUintN(64, hash << 1n) | (hash >> 63n)) ^ own;
      }
      if (terminal && hash !== undefined) break;
    }
    return { hash, setCookies };
  };
}

/** Of the bytes that a header's letters stand for. */
function hashOf(value: string, seed: bigint): bigint {
  return /[^\0-\x7f]/.test(value) ? plainXxh64(Buffer.from(value, 'latin1'), seed) : xxh64(value, seed);
}

/** What there is to hash, or its hash. */
function compilePolicy(policy: HashPolicyConfig): (head: RequestHead, info: StreamInfo, setCookies: string[]) => string | bigint | undefined {
  switch (policy.kind) {
    case 'header': {
      const name = policy.name.toLowerCase();
      const replace = policy.rewrite && compileRegexRewrite(policy.rewrite);
      return (head) => {
        const values = head.protocol === 'grpc' || name.startsWith(':') || name === 'host' ? [requestHeader(head, name)] : head.headers.all(name);
        const [first] = values;
        if (first === undefined) return undefined;
        if (values.length === 1) return replace ? replace(first) : first;
        // Several values are hashed in their own order, each with the hash before it as its seed (Envoy).
        return (values as string[]).map((value) => (replace ? replace(value) : value)).sort().reduce((seed, value) => hashOf(value, seed), 0n);
      };
    }
    case 'cookie': return (head, _info, setCookies) => cookie(head, policy.name) || newCookie(policy, setCookies);
    case 'query-parameter': return (head) => queryParameter(head.path, policy.name);
    // Requests of this process have no source address but its own: all of them belong to one host, as those of a pod do in Envoy.
    case 'source-ip': return (_head, info) => info.downstreamRemoteAddress.replace(/:\d+$/, '').replace(/^\[|\]$/g, '') || processId;
    case 'filter-state': {
      // gRFC A76: one value for the whole channel, here for the process.
      if (policy.key === 'io.grpc.channel_id') return () => processId;
      throw new Error(`hash_policy.filter_state.key ${policy.key} is not supported`);
    }
  }
}

const processId = randomUUID();

/** Without a ttl no cookie is made (Envoy: the policy then yields no hash). */
function newCookie({ name, path, ttlMs, attributes = [] }: Extract<HashPolicyConfig, { kind: 'cookie' }>, setCookies: string[]): string | undefined {
  if (ttlMs === undefined) return undefined;
  const value = randomUUID().replaceAll('-', '');
  const age = ttlMs > 0 ? `; Max-Age=${Math.floor(ttlMs / 1000)}` : '';
  setCookies.push(`${name}="${value}"${age}${path === '' ? '' : `; Path=${path}`}${attributes.map((one) => `; ${one.name}${one.value === '' ? '' : `=${one.value}`}`).join('')}; HttpOnly`);
  return value;
}
