// How the rest of the data plane asks for resources.
import type { ResourceType } from './resource-type.js';

export interface XdsClient {
  /** Watches one resource. The watcher is told the present state at once where it is known. */
  watch<T>(type: ResourceType<T>, name: string, watcher: ResourceWatcher<T>): Subscription;
  /** State of the streams and of every resource, for mesh.status() and CSDS. */
  status(): XdsStatus;
  close(): void;
}

export interface ResourceWatcher<T> {
  /** A new version. */
  onResource(resource: T): void;
  /** Definitely does not exist (removed, or the not-exists timer ran out). */
  onAbsent(reason: Error): void;
  /** Nothing new is known: NACKed without a good version, or the control plane cannot be reached. The last good state stays. */
  onError(error: Error): void;
}

export interface Subscription {
  close(): void;
}

export interface XdsStatus {
  servers: readonly { address: string; connected: boolean; protocol: 'delta' | 'sotw' | 'unknown'; lastError?: string; connectedSince?: number }[];
  resources: readonly { type: string; name: string; state: 'requested' | 'acked' | 'nacked' | 'absent'; version: string; lastUpdated?: number; error?: string }[];
}
