import { connect } from 'node:net';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { EnvoyProcess } from '../support/envoy-process.js';

/** Waits until Envoy takes connections. */
export async function listening(port: number, envoy: EnvoyProcess): Promise<void> {
  const end = performance.now() + 20_000;
  for (;;) {
    const socket = connect(port, '127.0.0.1');
    const ready = await once(socket, 'connect').then(() => true, () => false);
    socket.destroy();
    if (ready) return;
    if (performance.now() > end) throw new Error(`Envoy does not listen: ${envoy.log().slice(-2000)}`);
    await delay(20);
  }
}
