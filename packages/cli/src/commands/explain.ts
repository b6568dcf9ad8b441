// `weft explain`: why a request goes where it goes, without sending it.
import { Command, InvalidArgumentError } from 'commander';
import { collect, namespacedName } from '../arguments.js';
import { usageError } from '../cli-error.js';
import type { ExplainOptions } from '../explain.js';
import { isUrl, randomValue } from '../explain/explain-requests.js';
import type { Output } from '../output.js';

export function explainCommand(output: Output): Command {
  return new Command('explain')
    .description('say why a request goes where it goes, without sending it')
    .option('--config <path>', 'file or folder of configuration; may be given several times', collect)
    .option('--from <ns/name>', 'the workload that sends the request', namespacedName)
    .option('--resources <file>', 'Envoy resources in JSON, instead of --config and --from')
    .option('--url <url>', 'the request, as the application writes it', url)
    .option('--method <method>', 'its method', 'GET')
    .option('-H, --header <header>', 'one of its headers, as name: value; may be given several times', header)
    .option('--random <n>', 'the number that random choices are taken from, modulo the weights; without it 0', random)
    .option('--requests <file>', 'many requests instead, one JSON object a line: {url, method, headers: [[name, value]], random}; - is the standard input')
    .option('--json', 'one JSON object a request')
    .action(async (options: ExplainOptions) => {
      if ((options.config === undefined) === (options.resources === undefined)) throw usageError('give either --config or --resources');
      if (options.config && !options.from) throw usageError('--config needs --from NS/WORKLOAD: who sends the request');
      if ((options.url === undefined) === (options.requests === undefined)) throw usageError('give either --url or --requests');
      const { explainRequests } = await import('../explain.js');
      await explainRequests(options, output);
    });
}

function url(text: string): string {
  if (!isUrl(text)) throw new InvalidArgumentError('it is http://HOST:PORT/PATH.');
  return text;
}

function header(text: string, before: readonly (readonly [string, string])[] = []): readonly (readonly [string, string])[] {
  const match = /^(:?[^:\s]+)\s*:\s*(.*)$/s.exec(text);
  if (!match) throw new InvalidArgumentError("it is 'name: value'.");
  return [...before, [match[1]!, match[2]!]];
}

function random(text: string): bigint {
  const value = randomValue(text);
  if (value === undefined) throw new InvalidArgumentError('it is a whole number from 0 to 2^64 - 1.');
  return value;
}
