/** Exit codes: contracts of the command line. */
export const exitCode = { ok: 0, failed: 1, usage: 2, unreachable: 3 } as const;

/** Ends a command with one line on stderr, and a hint where there is one. */
export class CliError extends Error {
  readonly code: number;
  readonly hint: string | undefined;

  constructor(message: string, code: number = exitCode.failed, hint?: string) {
    super(message);
    this.name = 'CliError';
    this.code = code;
    this.hint = hint;
  }
}

export function usageError(message: string, hint?: string): CliError {
  return new CliError(message, exitCode.usage, hint);
}
