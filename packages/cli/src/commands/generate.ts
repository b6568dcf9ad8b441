// `weft generate`: the xDS resources one workload would get, on stdout.
import { Command, Option } from 'commander';
import { collect, namespacedName } from '../arguments.js';
import type { GenerateOptions } from '../generate.js';
import type { Output } from '../output.js';

export function generateCommand(output: Output): Command {
  return new Command('generate')
    .description('print the xDS resources that a workload gets')
    .requiredOption('--config <path>', 'file or folder of configuration; may be given several times', collect)
    .requiredOption('--workload <ns/name>', 'the workload to generate for', namespacedName)
    .addOption(new Option('--profile <profile>', 'kind of client').choices(['weft', 'grpc', 'envoy']).makeOptionMandatory())
    .addOption(new Option('--type <type>', 'only this type').choices(['secret', 'cluster', 'endpoint', 'listener', 'route']))
    .option('--name <name>', 'only this resource')
    .action(async (options: GenerateOptions) => {
      const { printResources } = await import('../generate.js');
      await printResources(options, output);
    });
}
