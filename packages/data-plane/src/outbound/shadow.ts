// Mirrored requests (`request_mirror_policies`): copies that are sent and forgotten. Envoy's rules, source/common/router/shadow_writer_impl.cc.
import type { Clock, Timer } from '@weft/spiffe';
import type { Mirror } from '../route/mirror.js';
import { randomBelow } from '../route/random-value.js';
import type { OutboundListenerSnapshot } from '../snapshot/outbound-listener.js';
import type { RequestHead } from '../stream/request-head.js';
import type { ResponseHead, UpstreamFailure } from '../stream/response-head.js';
import type { StreamInfo } from '../stream/stream-info.js';
import { Host, type HostCluster } from '../upstream/host.js';
import type { UpstreamCluster } from '../upstream/upstream-cluster.js';
import type { Downstream, MirrorAttempt } from './downstream.js';
import { UpstreamRequest, type AttemptOwner } from './upstream-request.js';

export interface ShadowOptions {
  readonly snapshot: OutboundListenerSnapshot;
  readonly clock: Clock;
  random(): number;
  /** Of the request that is mirrored: its random number decides. */
  readonly info: StreamInfo;
  /** Of the request that is mirrored: mirrored sessions stay on one host, too. */
  readonly hash: bigint | undefined;
  readonly deadline: number;
  /** The route's; 0 = none. Nobody waits for a mirror, but nothing else would end one that hangs. */
  readonly timeoutMs: number;
  readonly idleTimeoutMs: number;
}

/** Sends each mirror that its fraction chooses, as soon as the body is whole. `head` is as it is sent to the primary. */
export function shadow(mirrors: readonly Mirror[], head: RequestHead, downstream: Downstream, run: (send: () => void) => void, options: ShadowOptions): void {
  const chosen = mirrors.filter(({ fraction }) => fraction === undefined || randomBelow(options.info, fraction.denominator, options.random) < fraction.numerator);
  if (chosen.length === 0) return;
  // Now, not when the body is whole: the attempts of the primary may change theirs until then.
  const copies = chosen.map((mirror) => ({ cluster: mirror.cluster(head), head: mirror.head(head, options.info) }));
  downstream.whenWhole(() => run(() => {
    for (const copy of copies) {
      const cluster = clusterOf(copy.cluster, options.snapshot);
      // A mirror that is not there, is full or has no hosts must not be noticed by the caller.
      const host = cluster?.choose({ attempt: 0, attempted: [], priority: 'default', authority: head.authority, ...(options.hash !== undefined && { hash: options.hash }) });
      if (host instanceof Host) downstream.mirror(new ShadowRequest(host, host.cluster, copy.head, options));
    }
  }));
}

/** One that a header names and that is not known yet misses this copy. */
function clusterOf(name: string | undefined, { clusters, routes, dynamic }: OutboundListenerSnapshot): UpstreamCluster | undefined {
  if (name === undefined) return undefined;
  const found = clusters.get(name) ?? (routes.clusterNames.has(name) ? undefined : dynamic?.get(name));
  return found instanceof Promise ? undefined : found;
}

const nobody: AttemptOwner = {
  // Not discarded: the place among the cluster's requests is held until the answer is through.
  onAttemptHead: (_attempt: UpstreamRequest, _head: ResponseHead) => 'forward',
  onAttemptReady() {},
  onAttemptInformation() {},
  onAttemptTimeout: () => false,
  onAttemptFailure() {},
  onAttemptBroken() {},
  onAttemptEnd() {},
};

class ShadowRequest extends UpstreamRequest implements MirrorAttempt {
  onOver: (() => void) | undefined;
  readonly #timer: Timer | undefined;

  constructor(host: Host, cluster: HostCluster, head: RequestHead, { clock, deadline, timeoutMs, idleTimeoutMs }: ShadowOptions) {
    super(nobody, host, cluster, head, 'default', { number: 1, deadline, idleTimeoutMs });
    const remainingMs = Math.min(timeoutMs || Infinity, deadline - performance.now());
    if (remainingMs !== Infinity) {
      this.#timer = clock.setTimeout(() => {
        const { abort } = this;
        this.onFailure({ kind: 'per-try-timeout', message: `the mirror did not answer in ${remainingMs} ms` });
        abort?.(new Error('mirror timeout'));
      }, Math.max(0, remainingMs));
    }
  }

  cancel(reason: Error): void {
    this.finish(undefined);
    this.abort?.(reason);
  }

  override finish(failure: UpstreamFailure['kind'] | undefined): void {
    super.finish(failure);
    this.#timer?.cancel();
    this.onOver?.();
    this.onOver = undefined;
  }
}
