// What grpc-js takes for a channel: the name that was dialled, resolved by the mesh for each call.
import { grpc, MeshError, type Lookup } from '@weft/data-plane/internal';
import type { ChannelCredentials, ChannelInterface, ChannelOptions, Deadline } from '@grpc/grpc-js';
import type { Passage } from '../http/passage.js';
import type { Call, ServerCall } from './call-types.js';
import { MeshCall, type CallChannel, type CallServices } from './mesh-call.js';
import { RequestMetadata } from './metadata.js';

export interface ChannelServices extends CallServices {
  readonly passage: Passage;
  closed(): boolean;
}

const defaultMaxReceiveBytes = 4 * 1024 * 1024;
const { connectivityState, propagate } = grpc;

export class MeshChannel implements ChannelInterface {
  readonly #services: ChannelServices;
  readonly #target: string;
  readonly #authority: string;
  readonly #credentials: ChannelCredentials;
  readonly #options: ChannelOptions;
  readonly #calls: CallChannel;
  readonly #defaultAuthority: string;
  /** Who dials `xds:` means the mesh, and grpc-js could not resolve it. */
  readonly #mayLeave: boolean;
  #plain: ChannelInterface | undefined;
  #closed = false;

  /** @param target `xds:///name:port`, `dns:///name:port` or `name:port`. */
  constructor(services: ChannelServices, target: string, credentials: ChannelCredentials, options: ChannelOptions) {
    this.#services = services;
    this.#target = target;
    this.#authority = authorityOf(target);
    this.#mayLeave = !target.startsWith('xds:');
    this.#credentials = credentials;
    this.#options = options;
    this.#defaultAuthority = options['grpc.default_authority'] ?? this.#authority;
    this.#calls = {
      target,
      maxReceiveBytes: options['grpc.max_receive_message_length'] ?? defaultMaxReceiveBytes,
      maxSendBytes: options['grpc.max_send_message_length'] ?? -1,
      metadata: new RequestMetadata(),
    };
  }

  createCall(method: string, deadline: Deadline, host: string | null | undefined, parent: ServerCall | null, flags: number | null | undefined): Call {
    if (this.#closed) throw new Error('Channel has been shut down');
    if (this.#services.closed()) throw new MeshError('WEFT_CLOSED', 'no calls after close()');
    const lookup = this.#services.engine.lookup('http', this.#authority);
    const outside = (error: Error) => (this.#mayLeave && this.#services.passage.allows(error, this.#authority) ? this.#plainChannel().createCall(method, deadline, host, parent, flags) : undefined);
    if (lookup.kind === 'absent') {
      const call = outside(lookup.error);
      if (call) return call;
    } else {
      this.#refuseCredentials();
    }
    const propagated = flags ?? propagate.DEFAULTS;
    const parentDeadline = parent && propagated & propagate.DEADLINE ? milliseconds(parent.getDeadline()) : Infinity;
    const call = new MeshCall(this.#services, this.#calls, {
      method,
      authority: host ?? this.#defaultAuthority,
      deadline: Math.min(milliseconds(deadline), parentDeadline),
      lookup: this.#bounded(lookup),
      outside,
    });
    if (parent && propagated & propagate.CANCELLATION) parent.on('cancelled', () => call.cancelWithStatus(grpc.status.CANCELLED, 'Cancelled by parent call'));
    return call;
  }

  getTarget(): string {
    return this.#target;
  }

  getConnectivityState(tryToConnect: boolean): ReturnType<ChannelInterface['getConnectivityState']> {
    if (this.#closed) return connectivityState.SHUTDOWN;
    const lookup = this.#services.engine.lookup('http', this.#authority);
    if (lookup.kind === 'mesh') return connectivityState.READY;
    if (lookup.kind === 'pending') return connectivityState.CONNECTING;
    return this.#mayLeave && this.#services.passage.allows(lookup.error, this.#authority) ? this.#plainChannel().getConnectivityState(tryToConnect) : connectivityState.TRANSIENT_FAILURE;
  }

  watchConnectivityState(current: ReturnType<ChannelInterface['getConnectivityState']>, deadline: Date | number, callback: (error?: Error) => void): void {
    if (this.#closed) throw new Error('Channel has been shut down');
    if (this.getConnectivityState(false) !== current) return void process.nextTick(callback);
    if (this.#plain) return this.#plain.watchConnectivityState(current, deadline, callback);
    // Configuration is the only thing that changes the state; it has no event of its own.
    const end = milliseconds(deadline);
    const timer = setInterval(() => {
      if (this.getConnectivityState(false) !== current) callback();
      else if (Date.now() >= end) callback(new Error('Deadline passed without connectivity state change'));
      else return;
      clearInterval(timer);
    }, 20);
  }

  getChannelzRef(): ReturnType<ChannelInterface['getChannelzRef']> {
    return { kind: 'channel' as never, id: 0, name: this.#target };
  }

  /** Calls that run go on; those of the mesh's hosts stay connected for other channels. */
  close(): void {
    this.#closed = true;
    this.#plain?.close();
  }

  /** For a host that is not the mesh's: exactly the channel that the application would have without it. */
  #plainChannel(): ChannelInterface {
    this.#plain ??= new grpc.Channel(this.#target, this.#credentials, this.#options);
    return this.#plain;
  }

  /** A host that may be outside is not waited for as long as one that can only be inside. */
  #bounded(lookup: Lookup): Lookup {
    const { passage } = this.#services;
    if (lookup.kind !== 'pending' || !this.#mayLeave || !passage.allowed(this.#authority)) return lookup;
    return { kind: 'pending', wait: () => passage.settle(lookup, this.#authority) };
  }

  /**
   * The mesh chooses TLS by its policy. Taking a demand for TLS and sending plain text would betray it, and call credentials that
   * are composed into channel credentials cannot be read through grpc-js's public API.
   */
  #refuseCredentials(): void {
    if (!this.#credentials._isSecure()) return;
    throw new MeshError('WEFT_UNSUPPORTED', `${this.#target}: channel credentials with TLS or composed call credentials for a service of the mesh; use credentials.createInsecure() (the mesh encrypts by itself) and give call credentials with each call`);
  }
}

function authorityOf(target: string): string {
  const match = /^(?:xds|dns):(?:\/\/[^/]*\/)?(.+)$/.exec(target);
  return match?.[1] ?? target;
}

function milliseconds(deadline: Deadline): number {
  return deadline instanceof Date ? deadline.getTime() : deadline;
}
