// A new root under running workloads: published, acknowledged, active.
import type { CertificateAuthority } from '@weft/ca';

/**
 * One rotation at a time: who asks during one gets its outcome. A root that a rotation left prepared (the process was killed) is
 * the one that becomes active.
 * @param acknowledged resolves with the clients that do not have the bundle after that many milliseconds.
 */
export function rotation(ca: CertificateAuthority, acknowledged: (timeoutMs: number) => Promise<readonly string[]>): () => Promise<readonly string[]> {
  let running: Promise<readonly string[]> | undefined;
  return () => (running ??= rotate().finally(() => (running = undefined)));

  async function rotate(): Promise<readonly string[]> {
    await prepare(ca);
    const late = await acknowledged(10_000);
    if (late.length > 0) ca.logger.warn({ nodes: late.slice(0, 100), count: late.length }, 'clients that have not acknowledged the new root refuse certificates from it until they do');
    await ca.authorities.activate();
    return late;
  }
}

async function prepare({ authorities }: CertificateAuthority): Promise<void> {
  if (!authorities.list().some(({ state }) => state === 'prepared')) await authorities.prepare();
}
