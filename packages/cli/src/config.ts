// Loading configuration for one command: files in, model and problems out.
import { existsSync } from 'node:fs';
import { builtinKinds, ConfigPipeline, FileSource, MeshModel, type ConfigKind, type ConfigProblem } from '@weft/xds-server';
import { CliError, exitCode } from './cli-error.js';

export interface LoadedConfig {
  model: MeshModel;
  problems: readonly ConfigProblem[];
}

/** Reads all files and folders once. */
export async function loadConfig(paths: readonly string[], kinds: readonly ConfigKind[] = builtinKinds): Promise<LoadedConfig> {
  requirePaths(paths);
  const model = new MeshModel();
  const pipeline = new ConfigPipeline({ kinds, model });
  const source = new FileSource(paths);
  try {
    await source.start(pipeline);
  } finally {
    await source.close();
  }
  return { model, problems: pipeline.problems() };
}

export function requirePaths(paths: readonly string[]): void {
  for (const path of paths) {
    if (!existsSync(path)) throw new CliError(`${path}: there is no such file or folder`, exitCode.failed, 'give the path of a YAML file or of a folder of them');
  }
}
