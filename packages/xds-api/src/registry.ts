// Every generated type, for JSON mapping and for reading Any values of any kind.
// Importing this parses all descriptors (some hundred milliseconds): the control plane and tools need it, the data
// plane must not.
import { createRegistry, type Registry } from '@bufbuild/protobuf';
import { allFiles } from './gen/all.js';

let registry: Registry | undefined;

/** The registry of all messages, made on first use. */
export function allTypes(): Registry {
  return (registry ??= createRegistry(...allFiles));
}
