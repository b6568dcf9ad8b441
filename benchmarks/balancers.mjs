// What one pick costs, by balancer, with 1000 hosts: the policy's picker alone, as it stands behind every attempt.
import { builtinLoadBalancers, Host, loadXxh64 } from '@weft/data-plane/testing';

const count = 1000;
const picks = 8192;
const rounds = 300;
const cluster = { name: 'bench' };
const hosts = (weight) => Array.from({ length: count }, (_, i) => {
  const host = new Host(cluster, `10.0.${i >> 8}.${i & 255}:80`, { address: `10.0.${i >> 8}.${i & 255}`, port: 80, hostname: '', weight: weight(i), health: 'healthy', metadata: {}, identityMissing: false });
  host.activeRequests = i % 7;
  return host;
});
const context = { random: Math.random, now: () => Date.now(), activeRequests: () => 3000 };
const trackerContext = { ...context, setTimeout: () => ({ cancel() {} }), hosts: () => [], changed() {} };
const equal = hosts(() => 1);
const weighted = hosts((i) => 1 + (i % 10));

function picker(name, list, config = {}) {
  const factory = builtinLoadBalancers.find((candidate) => candidate.name.endsWith(name));
  const full = { localityWeighted: false, ...factory.parse(new Uint8Array()), ...config };
  return factory.create(full, context, factory.createTracker?.(full, trackerContext)).update(list);
}

// Keys as requests bring them: numbers of 64 bits that already exist when the host is chosen.
const hashes = Array.from({ length: 4096 }, () => (BigInt(Math.floor(Math.random() * 2 ** 32)) << 32n) | BigInt(Math.floor(Math.random() * 2 ** 32)));
const plain = { attempt: 0 };
const keyed = hashes.map((hash) => ({ attempt: 0, hash }));

await loadXxh64();
let next = 0;
const ways = [
  // The least that choosing a host can cost.
  { name: 'bare loop over the array (baseline)', picker: { pick: () => equal[next++ % count] }, target: undefined },
  { name: 'round robin', picker: picker('.round_robin', equal), target: 4 },
  { name: 'random', picker: picker('.random', equal) },
  { name: 'least request, two choices', picker: picker('.least_request', equal), target: 17 },
  { name: 'peak EWMA, two choices', picker: picker('weft.load_balancing_policies.peak_ewma', equal) },
  { name: 'round robin by weight (EDF)', picker: picker('.round_robin', weighted), target: 52 },
  { name: 'least request by weight (EDF)', picker: picker('.least_request', weighted), target: 52 },
  { name: 'maglev', picker: picker('.maglev', equal), contexts: keyed, target: 68 },
  { name: 'maglev, bounded load', picker: picker('.maglev', equal, { hashBalanceFactor: 150 }), contexts: keyed },
  { name: 'ring hash', picker: picker('.ring_hash', equal, { minimumRingSize: 100_000 }), contexts: keyed },
  { name: 'pick first', picker: picker('.pick_first', equal) },
  { name: 'client-side weighted round robin', picker: picker('.client_side_weighted_round_robin', equal) },
];

// A function of its own for each: one that has seen all of them would call none of them directly, as an application's hot code does.
const measures = ways.map(({ picker: { pick }, contexts }) => {
  const loop = new Function('pick', 'contexts', 'mask', 'picks', `
    let found = 0;
    for (let i = 0; i < picks; i++) found += pick(contexts[i & mask]).activeRequests;
    return found;`);
  const list = contexts ?? [plain];
  return () => {
    const began = performance.now();
    // Looked at, so that nothing of the loop can be left out.
    if (loop(pick, list, list.length - 1, picks) < 0) throw new Error('negative');
    return ((performance.now() - began) * 1e6) / picks;
  };
});

const times = ways.map(() => []);
for (let round = -50; round < rounds; round++) {
  for (const [i, measure] of measures.entries()) {
    const ns = measure();
    if (round >= 0) times[i].push(ns);
  }
}
// Of so short a thing the quickest round says most: whatever else the machine does only adds to it.
const least = (list) => Math.min(...list);
const base = least(times[0]);
console.log(`one pick of ${count} hosts, the quickest of ${rounds} interleaved rounds of ${picks} picks; aim: within 2× of the figure in brackets`);
for (const [i, { name, target }] of ways.entries()) {
  const ns = least(times[i]);
  console.log(`  ${name.padEnd(38)} ${ns.toFixed(1).padStart(7)} ns   ratio ${(ns / base).toFixed(1).padStart(6)}${target === undefined ? '' : `   [${target} ns: ${(ns / target).toFixed(2)}×]`}`);
}
