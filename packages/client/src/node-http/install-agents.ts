// mesh.install({ http: true }): clients of node:http that name no agent of their own.
import http, { type Agent } from 'node:http';
import { syncBuiltinESMExports } from 'node:module';
import type { MeshAgent } from './mesh-agent.js';

/** @returns puts the previous one back, unless someone else has installed another since. */
export function installAgent(agent: MeshAgent): () => void {
  const before = http.globalAgent;
  if (before === agent) return () => undefined;
  agent.fallback = () => before;
  setGlobalAgent(agent);
  return () => {
    if (http.globalAgent === agent) setGlobalAgent(before);
    agent.fallback = () => http.globalAgent;
  };
}

function setGlobalAgent(agent: Agent): void {
  (http as { globalAgent: Agent }).globalAgent = agent;
  // `import { globalAgent } from 'node:http'` is a copy.
  syncBuiltinESMExports();
}
