// `weft validate PATH…`: 0, or 1 with one line a problem on stderr.
import { Command } from 'commander';
import { CliError } from '../cli-error.js';
import type { Output } from '../output.js';

export function validateCommand(output: Output): Command {
  return new Command('validate')
    .description('check configuration files without running anything')
    .argument('<path...>', 'YAML files, or folders of them')
    .action(async (paths: string[]) => {
      const [{ loadConfig }, { builtinKinds, formatProblem, rawResourceKind }, { checkedRawResource }] = await Promise.all([import('../config.js'), import('@weft/xds-server'), import('../checked-raw-resource.js')]);
      const { problems } = await loadConfig(paths, builtinKinds.map((kind) => (kind.kind === rawResourceKind ? checkedRawResource(kind) : kind)));
      for (const problem of problems) output.stderr(`${formatProblem(problem)}\n`);
      const errors = problems.filter(({ severity }) => severity === 'error').length;
      if (errors > 0) throw new CliError(`${errors} ${errors === 1 ? 'error' : 'errors'}`);
    });
}
