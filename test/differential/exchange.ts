// One request through an undici dispatcher, byte for byte as it is given: paths are not normalised, headers keep order and case.
import type { Dispatcher } from 'undici';
import { scriptHeader } from './backends.js';
import type { Observation, ScriptedAttempt } from './model.js';

export type Answer = Omit<Observation, 'attempts' | 'mirrored'>;

export interface RawAnswer {
  status: number;
  rawHeaders: readonly (string | Buffer)[];
  body: string;
  error?: string;
}

export function encodeScript(script: readonly ScriptedAttempt[]): [string, string][] {
  return script.length === 0 ? [] : [[scriptHeader, Buffer.from(JSON.stringify(script)).toString('base64url')]];
}

export function exchange(dispatcher: Dispatcher, options: { origin?: string; method: string; path: string; headers: string[]; body?: string }): Promise<RawAnswer> {
  return new Promise((resolve) => {
    const answer: RawAnswer = { status: 0, rawHeaders: [], body: '' };
    const chunks: Buffer[] = [];
    const end = (error?: Error) => {
      answer.body = Buffer.concat(chunks).toString('latin1');
      if (error) answer.error = `${(error as Error & { code?: string }).code ?? error.name}: ${error.message}`;
      resolve(answer);
    };
    try {
      dispatcher.dispatch(options as Dispatcher.DispatchOptions, {
        onRequestStart: () => undefined,
        onResponseStart(controller, status, headers) {
          if (status < 200) return;
          answer.status = status;
          answer.rawHeaders = (controller as unknown as { rawHeaders?: (string | Buffer)[] }).rawHeaders ?? Object.entries(headers).flatMap(([name, value]) => [value ?? []].flat().flatMap((one) => [name, one]));
        },
        onResponseData: (_controller, chunk) => void chunks.push(chunk),
        onResponseEnd: () => end(),
        onResponseError: (_controller, error) => end(error),
      });
    } catch (error) {
      end(error as Error);
    }
  });
}
