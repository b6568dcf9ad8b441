// Calls of the running control plane's HTTP API.
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { CliError, exitCode } from './cli-error.js';

/** The admin token: WEFT_ADMIN_TOKEN_FILE, else DIR/admin.token of the given data folder. */
export function readAdminToken(dataDir: string): string {
  const file = process.env['WEFT_ADMIN_TOKEN_FILE'] ?? `${dataDir}/admin.token`;
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new CliError(`cannot read the admin token ${file}: ${(error as Error).message}`, exitCode.failed, 'set WEFT_ADMIN_TOKEN_FILE, or --data to the folder of `weft up`');
  }
}

/** Sends JSON to `http://HOST:PORT/v1…` and returns the answer's JSON. */
export function callAdmin<T>(controlPlane: string, method: 'GET' | 'POST', path: string, token: string, body?: unknown): Promise<T> {
  return new Promise((resolve, reject) => {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const outgoing = request(`http://${controlPlane}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, ...(text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }) },
    });
    outgoing.on('response', (response) => {
      let answer = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (answer += chunk));
      response.on('end', () => {
        const status = response.statusCode ?? 0;
        if (status >= 200 && status < 300) {
          resolve((answer === '' ? undefined : JSON.parse(answer)) as T);
          return;
        }
        reject(new CliError(`${controlPlane} answered ${status}: ${reasonOf(answer)}`, exitCode.failed));
      });
    });
    outgoing.on('error', (error: Error) => reject(new CliError(`cannot reach the control plane at ${controlPlane}: ${error.message}`, exitCode.unreachable, 'give the HTTP port that `weft up` printed (http=HOST:PORT)')));
    outgoing.end(text);
  });
}

function reasonOf(answer: string): string {
  try {
    return (JSON.parse(answer) as { error?: string }).error ?? answer;
  } catch {
    return answer.trim();
  }
}
