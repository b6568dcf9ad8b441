import type { Registrar } from '../source/registration.js';
import { addressOf } from './admission.js';
import type { ClientStream, StreamObserver } from './client-stream.js';

/** Lets streams register: authenticated ones of Weft clients that name a WorkloadGroup. Everybody else only reads. */
export function registrationObserver(registrar: Registrar): StreamObserver {
  return {
    opened(stream: ClientStream) {
      const { caller, node } = stream;
      if (!caller || node?.profile !== 'weft' || node.group === undefined) return;
      const { id, namespace, group, addresses } = node;
      registrar.opened(stream, { id, namespace, group, addresses, serviceAccount: caller.serviceAccount, peerAddress: addressOf(stream.peer) });
    },
    subscribed: (stream, _, name) => registrar.subscribed(stream, name),
    unsubscribed: (stream, _, name) => registrar.unsubscribed(stream, name),
    health: (stream, ready, message) => registrar.health(stream, ready, message),
    closed: (stream) => registrar.closed(stream),
  };
}
