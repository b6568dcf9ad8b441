// mesh.install(): global fetch, undici's functions and whatever else asks for the global dispatcher.
import { Agent, getGlobalDispatcher, setGlobalDispatcher, type Dispatcher } from 'undici';
import { earlierDispatcher } from './earlier-dispatcher.js';
import type { MeshDispatcher } from './mesh-dispatcher.js';

/**
 * Requests to hosts outside of the mesh go to the dispatcher that was installed before. setGlobalDispatcher also puts a wrapper
 * in the place where Node's bundled, older undici looks.
 * @returns puts the previous one back, unless someone else has installed another since.
 */
export function installDispatcher(dispatcher: MeshDispatcher): () => void {
  const before = getGlobalDispatcher();
  if (before === dispatcher) return () => undefined;
  const fallback = chosen(before);
  dispatcher.fallback = () => fallback;
  setGlobalDispatcher(dispatcher);
  return () => {
    if (getGlobalDispatcher() === dispatcher) setGlobalDispatcher(before);
    dispatcher.fallback = currentGlobal;
  };
}

/** Looked up at each use: the application may install one after us. */
export function currentGlobal(): Dispatcher {
  return chosen(getGlobalDispatcher());
}

/** A plain Agent is nobody's choice, but what undici (ours on import, Node's on the first fetch) puts there where nothing was. */
function chosen(now: Dispatcher): Dispatcher {
  return now.constructor === Agent && earlierDispatcher && earlierDispatcher.constructor.name !== 'Agent' ? earlierDispatcher : now;
}
