import { expect, it } from 'vitest';
import type { ClusterConfig, EndpointConfig } from '../resource/cluster-config.js';
import type { UpstreamTlsConfig } from '../resource/tls-config.js';
import { upstreamSecurity } from './upstream-tls.js';

const san = { kind: 'exact' as const, value: 'other.test', ignoreCase: false };

function named(more: Partial<UpstreamTlsConfig>, hostname: string): { sni: string; names: number } {
  const tls: UpstreamTlsConfig = { subjectAltNames: [san], alpn: [], trustedCaPem: 'PEM', sni: 'configured.test', ...more };
  const security = upstreamSecurity({ name: 'c', transportSockets: [{ name: '', match: {}, tls }] } as unknown as ClusterConfig, { address: '10.0.0.1', port: 1, hostname, metadata: {} } as unknown as EndpointConfig);
  if (security.kind !== 'tls') throw new Error(security.kind);
  return { sni: security.config.sni, names: security.config.subjectAltNames.length };
}

it('auto_host_sni sends the name of the host, where it has one that can be sent', () => {
  expect([named({}, 'host.test'), named({ hostSni: true }, 'host.test'), named({ hostSni: true }, ''), named({ hostSni: true }, '10.0.0.1')]).toEqual([
    { sni: 'configured.test', names: 1 }, { sni: 'host.test', names: 1 }, { sni: 'configured.test', names: 1 }, { sni: '', names: 1 },
  ]);
});

it('auto_sni_san_validation looks for that name in the certificate instead of the configured ones', () => {
  expect([named({ hostSni: true, verifySni: true }, 'host.test'), named({ verifySni: true }, 'host.test'), named({ hostSni: true, verifySni: true }, '10.0.0.1')]).toEqual([
    { sni: 'host.test', names: 0 }, { sni: 'configured.test', names: 0 }, { sni: '', names: 1 },
  ]);
});
