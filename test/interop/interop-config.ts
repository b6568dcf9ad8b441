// One configuration for every peer: two versions of one service, a canary by header, weights, retries.
import type { Backend } from '../support/echo-servers.js';

export interface Weights {
  v1: number;
  v2: number;
}

export function serviceYaml(host: string, protocol: 'GRPC' | 'HTTP', port: number, v1: readonly Backend[], v2: readonly Backend[]): string {
  const endpoint = (version: string) => ({ port: backend }: Backend) =>
    `    - { address: 127.0.0.1, ports: { main: ${backend} }, labels: { version: ${version} } }`;
  return `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${host.replaceAll('.', '-')} }
spec:
  hosts: [${host}]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: ${port}, name: main, protocol: ${protocol} }]
  endpoints:
${[...v1.map(endpoint('v1')), ...v2.map(endpoint('v2'))].join('\n')}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: ${host.replaceAll('.', '-')} }
spec:
  host: ${host}
  subsets:
    - { name: v1, labels: { version: v1 } }
    - { name: v2, labels: { version: v2 } }
`;
}

export function routesYaml(host: string, { v1, v2 }: Weights): string {
  return `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${host.replaceAll('.', '-')} }
spec:
  hosts: [${host}]
  http:
    - name: canary
      match: [{ headers: { x-canary: { exact: v2 } } }]
      route: [{ destination: { host: ${host}, subset: v2 } }]
    - name: split
      route:
        - { destination: { host: ${host}, subset: v1 }, weight: ${v1} }
        - { destination: { host: ${host}, subset: v2 }, weight: ${v2} }
      retries: { attempts: 2, retryOn: 'unavailable,connect-failure,503' }
`;
}

/** How many of the answers came from the instances whose name starts with this. */
export function countOf(answers: readonly { instance?: string }[], prefix: string): number {
  return answers.filter(({ instance }) => instance?.startsWith(prefix)).length;
}
