import type { TLSSocket } from 'node:tls';
import { systemClock, type Clock } from './clock.js';

/**
 * Ends a connection when its certificate or its peer's runs out: kept alive it would carry an identity for ever that nobody can renew
 * any more. Rotation replaces connections long before.
 */
export function endWithCertificates(socket: TLSSocket, clock: Clock = systemClock): void {
  const ends = [socket.getX509Certificate(), socket.getPeerX509Certificate()].flatMap((certificate) => (certificate ? [certificate.validToDate.getTime()] : []));
  if (ends.length === 0) return;
  const timer = clock.setTimeout(() => socket.destroy(new Error('the certificate of this connection has expired')), Math.min(...ends) - clock.now());
  socket.once('close', () => timer.cancel());
}
