// mesh.install({ http: true }): clients of node:http that name no agent of their own.
import http, { type Agent } from 'node:http';
import https from 'node:https';
import { syncBuiltinESMExports } from 'node:module';
import type { MeshAgent } from './mesh-agent.js';
import type { MeshHttpsAgent } from './mesh-https-agent.js';

/** @returns puts the previous ones back, unless someone else has installed others since. */
export function installAgents(agent: MeshAgent, httpsAgent: MeshHttpsAgent): () => void {
  const undo = [install(http, agent), install(https, httpsAgent)];
  return () => undo.forEach((fn) => fn());
}

function install<A extends Agent>(module: { readonly globalAgent: A }, agent: A & { fallback: () => A }): () => void {
  const before = module.globalAgent;
  if (before === agent) return () => undefined;
  agent.fallback = () => before;
  setGlobalAgent(module, agent);
  return () => {
    if (module.globalAgent === agent) setGlobalAgent(module, before);
    agent.fallback = () => module.globalAgent;
  };
}

function setGlobalAgent<A>(module: { readonly globalAgent: A }, agent: A): void {
  (module as { globalAgent: A }).globalAgent = agent;
  // `import { globalAgent } from 'node:http'` is a copy.
  syncBuiltinESMExports();
}
