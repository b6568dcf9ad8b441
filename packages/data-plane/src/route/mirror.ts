import type { FractionConfig } from '../resource/matcher-config.js';
import type { MirrorConfig } from '../resource/route-config.js';
import type { RequestHead } from '../stream/request-head.js';
import type { StreamInfo } from '../stream/stream-info.js';
import { compileHeaderMutation } from './header-mutation.js';
import { firstRequestHeader } from './request-header.js';

/** One mirror of a route, ready to use. */
export interface Mirror {
  readonly fraction: FractionConfig | undefined;
  /** Undefined where a header should name it and does not. */
  cluster(head: RequestHead): string | undefined;
  /** The copy's head: `a:80` becomes `a-shadow:80`, so that the mirror's own logs tell copies from requests. */
  head(original: RequestHead, info: StreamInfo): RequestHead;
}

/** Throws for an unknown formatter. */
export function compileMirror({ cluster, clusterHeader, fraction, hostRewrite, hostSuffix = true, mutations = [] }: MirrorConfig): Mirror {
  const edits = mutations.map((mutation) => compileHeaderMutation(mutation, 'request')).filter((edit) => edit !== undefined);
  return {
    fraction,
    cluster: clusterHeader === undefined ? () => cluster : (head) => firstRequestHeader(head, clusterHeader) || undefined,
    head(original, info) {
      // Envoy: a host of its own takes no suffix. What follows the last colon counts as the port, digits or not.
      const authority = hostRewrite ?? (hostSuffix ? original.authority.replace(/(?::[^:\]]*)?$/, (port) => `-shadow${port}`) : original.authority);
      const head = { ...original, authority, headers: original.headers.clone() };
      for (const edit of edits) edit.applyToRequest(head, info);
      return head;
    },
  };
}
