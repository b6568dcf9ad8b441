// What it costs to find a route among 1000 virtual hosts of 20 routes each, the last of which matches, against the bare minimum:
// a look-up of the host and 20 comparisons of prefixes.
import { makeDecoders, RouteTable } from '@weft/data-plane/testing';
import { HeaderMap } from '@weft/data-plane/internal';
import { fromJson, toBinary } from '@weft/xds-api/protobuf';
import { RouteConfigurationSchema } from '@weft/xds-api/route';

const virtualHosts = 1000;
const routes = 20;
const requests = 4096;
const rounds = 200;

const paths = Array.from({ length: routes }, (_, i) => (i === routes - 1 ? '/' : `/service-${i}/`));
const tables = {
  prefixes: (i) => ({ prefix: paths[i] }),
  'prefixes and headers': (i) => ({ prefix: i === routes - 1 ? '/' : '/service', headers: i === routes - 1 ? [] : [{ name: 'x-version', string_match: { exact: `v${i}` } }] }),
  'regular expressions': (i) => (i === routes - 1 ? { prefix: '/' } : { safe_regex: { regex: `/service-${i}/[a-z]+/\\d+` } }),
};

const { types } = makeDecoders({ filters: [], loadBalancers: [], certificateProviders: new Set(), policy: () => undefined });
const head = (i) => ({ protocol: 'http', method: 'GET', scheme: 'http', authority: `service-${i % virtualHosts}.default.svc.cluster.local:8080`, path: '/service/items/42?q=1', headers: new HeaderMap(['x-version', 'canary', 'accept', '*/*', 'user-agent', 'bench']) });
const heads = Array.from({ length: requests }, (_, i) => head((i * 37) % virtualHosts));
const info = { direction: 'outbound', startTime: 0, protocol: 'http', method: 'GET', originalPath: '/', authority: '', httpVersion: 'HTTP/1.1', routeName: '', clusterName: '', attempts: 0, flags: [], responseCodeDetails: '', status: 0, bytesSent: 0, bytesReceived: 0, upstreamAddress: '', downstreamRemoteAddress: '', downstreamLocalAddress: '', mutualTls: false, requestedServerName: '' };

const bare = new Map(Array.from({ length: virtualHosts }, (_, i) => [`service-${i}.default.svc.cluster.local:8080`, paths]));
const ways = [['bare: a map and 20 prefixes (baseline)', ({ authority, path }) => bare.get(authority.toLowerCase()).find((prefix) => path.startsWith(prefix))]];
for (const [name, match] of Object.entries(tables)) {
  const json = {
    name: 'bench',
    virtual_hosts: Array.from({ length: virtualHosts }, (_, host) => ({
      name: `service-${host}`,
      domains: [`service-${host}.default.svc.cluster.local`, `service-${host}.default.svc.cluster.local:8080`, `*.service-${host}.example.com`],
      routes: Array.from({ length: routes }, (_, i) => ({ name: `r${i}`, match: match(i), route: { cluster: `c-${host}-${i}` } })),
    })),
  };
  const table = new RouteTable(types.routeConfiguration.decode(toBinary(RouteConfigurationSchema, fromJson(RouteConfigurationSchema, json))).resource);
  ways.push([name, (request) => table.select(request, info)]);
}

const results = ways.map(() => []);
for (let round = 0; round < rounds; round++) {
  ways.forEach(([, select], i) => {
    const began = performance.now();
    let found = 0;
    for (const request of heads) if (select(request)) found++;
    if (found !== requests) throw new Error(`${requests - found} requests found no route`);
    results[i].push(((performance.now() - began) * 1e6) / requests);
  });
}
const median = (list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)];
console.log(`${virtualHosts} virtual hosts of ${routes} routes, the last one matches, median of ${rounds} interleaved rounds:`);
ways.forEach(([name], i) => console.log(`  ${name.padEnd(44)} ${median(results[i]).toFixed(0).padStart(7)} ns   ratio ${(median(results[i]) / median(results[0])).toFixed(1)}`));
