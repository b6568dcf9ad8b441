// The names of resources. They are Istio's, so that dashboards, Kiali and istioctl can read them (contracts.md 6).
import { isIP } from 'node:net';

export interface OutboundName {
  host: string;
  port: number;
  subset: string;
}

export interface InboundName {
  /** Name of the port in the WorkloadGroup or Service; gRPC servers do not tell it. */
  portName?: string;
  /** The bound address, without brackets. */
  address: string;
  port: number;
}

/** Istio's name for where traffic goes to fail. gRPC clients get it as a cluster without endpoints. */
export const blackHoleCluster = 'BlackHoleCluster';

/** Cluster, its ClusterLoadAssignment, and (without subset) the route configuration of a host. */
export function outboundName(host: string, port: number, subset = ''): string {
  return `outbound|${port}|${subset}|${host}`;
}

export function parseOutboundName(name: string): OutboundName | undefined {
  const [direction, port, subset, host, ...rest] = name.split('|');
  const number = parsePort(port);
  if (direction !== 'outbound' || number === undefined || subset === undefined || !host || rest.length > 0) return undefined;
  return { host, port: number, subset };
}

/** The server name of a mesh TLS handshake. */
export function outboundSni({ host, port, subset }: OutboundName): string {
  return `outbound_.${port}_.${subset}_.${host}`;
}

/** Exactly what an application dials: lower case, no trailing dot, IPv6 in brackets. */
export function parseDialledName(name: string): { host: string; port: number } | undefined {
  const match = /^(?:\[([0-9a-f:.]+)\]|([^:[\]/|\s]+)):(\d+)$/.exec(name);
  const port = parsePort(match?.[3]);
  const host = match?.[1] ?? match?.[2];
  if (host === undefined || port === undefined || host.endsWith('.') || host !== host.toLowerCase()) return undefined;
  if (match?.[1] !== undefined && isIP(host) !== 6) return undefined;
  return { host, port };
}

const grpcInbound = ['xds.istio.io/grpc/lds/inbound/', 'grpc/server?xds.resource.listening_address='];

/** `xds.istio.io/grpc/lds/inbound/IP:PORT` or `grpc/server?xds.resource.listening_address=IP:PORT`. */
export function parseGrpcInboundName(name: string): InboundName | undefined {
  const prefix = grpcInbound.find((candidate) => name.startsWith(candidate));
  return prefix === undefined ? undefined : parseBoundAddress(name.slice(prefix.length));
}

/** `weft/inbound/PORTNAME/IP:PORT`. */
export function parseWeftInboundName(name: string): InboundName | undefined {
  const match = /^weft\/inbound\/([^/]+)\/([^/]+)$/.exec(name);
  const bound = match?.[2] === undefined ? undefined : parseBoundAddress(match[2]);
  return bound && match?.[1] !== undefined ? { ...bound, portName: match[1] } : undefined;
}

export function weftInboundName(portName: string, address: string, port: number): string {
  return `weft/inbound/${portName}/${hostPort(address, port)}`;
}

export function grpcInboundName(address: string, port: number): string {
  return `${grpcInbound[0]}${hostPort(address, port)}`;
}

function parseBoundAddress(text: string): InboundName | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([\d.]+)):(\d+)$/.exec(text);
  const address = match?.[1] ?? match?.[2];
  const port = parsePort(match?.[3]);
  if (address === undefined || port === undefined || isIP(address) !== (match?.[1] === undefined ? 4 : 6)) return undefined;
  return { address, port };
}

/** `HOST:PORT`, IPv6 in brackets. */
export function hostPort(host: string, port: number): string {
  return `${bracketed(host)}:${port}`;
}

export function bracketed(host: string): string {
  return isIP(host) === 6 ? `[${host}]` : host;
}

export function spiffeId(trustDomain: string, namespace: string, serviceAccount: string): string {
  return `spiffe://${trustDomain}/ns/${namespace}/sa/${serviceAccount}`;
}

/** A port without leading zeros, 1 to 65535: one port has one spelling. */
function parsePort(text: string | undefined): number | undefined {
  if (text === undefined || !/^[1-9]\d{0,4}$/.test(text)) return undefined;
  const port = Number(text);
  return port <= 65_535 ? port : undefined;
}
