import { Command, CommanderError } from 'commander';
import { createRequire } from 'node:module';
import { CliError, exitCode } from './cli-error.js';
import { bootstrapCommand } from './commands/bootstrap.js';
import { caCommand } from './commands/ca.js';
import { explainCommand } from './commands/explain.js';
import { generateCommand } from './commands/generate.js';
import { tokenCommand } from './commands/token.js';
import { upCommand } from './commands/up.js';
import { validateCommand } from './commands/validate.js';
import type { Output } from './output.js';

/** Runs one command line (without `node` and the script) and resolves with its exit code. stdout holds results only. */
export async function main(args: readonly string[], output: Output = { stdout: (text) => process.stdout.write(text), stderr: (text) => process.stderr.write(text) }): Promise<number> {
  const program = new Command('weft')
    .description('The Weft service mesh: run its control plane and look into it.')
    .version((createRequire(import.meta.url)('../package.json') as { version: string }).version)
    .showHelpAfterError('(add --help for the options)');
  const print = (text: string) => output.stdout(text);
  for (const command of [upCommand(output), validateCommand(output), generateCommand(output), explainCommand(output), bootstrapCommand(print), tokenCommand(print), caCommand(print)]) {
    program.addCommand(command);
  }
  inherit(program, output);
  try {
    await program.parseAsync([...args], { from: 'user' });
    return exitCode.ok;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCode.ok : exitCode.usage;
    const known = error instanceof CliError ? error : undefined;
    output.stderr(`weft: ${known ? known.message : explain(error)}\n`);
    if (known?.hint) output.stderr(`  ${known.hint}\n`);
    return known?.code ?? exitCode.failed;
  }
}

/** commander would exit the process and write to it itself; both belong to `main`. */
function inherit(command: Command, output: Output): void {
  command.exitOverride().configureOutput({ writeOut: output.stdout, writeErr: output.stderr });
  command.commands.forEach((child) => inherit(child, output));
}

function explain(error: unknown): string {
  const { message, code } = error as Error & { code?: string };
  return code && !message.includes(code) ? `${message} (${code})` : message;
}
