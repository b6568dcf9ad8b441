import { create, type JsonObject } from '@weft/xds-api/protobuf';
import { NodeSchema, type Node } from '@weft/xds-api/core';
import { version } from '../version.js';
import type { NodeConfig } from './bootstrap.js';

/** What the control plane is told of us. The user agent is how Weft's control plane knows to send everything (profile `weft`). */
export function nodeMessage({ id, cluster, locality, metadata }: NodeConfig): Node {
  return create(NodeSchema, {
    id,
    cluster,
    locality,
    metadata: metadata as JsonObject,
    userAgentName: 'weft',
    userAgentVersionType: { case: 'userAgentVersion', value: version },
  });
}
