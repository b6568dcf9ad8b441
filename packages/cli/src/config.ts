// Loading configuration for one command: files in, model and problems out.
import { existsSync } from 'node:fs';
import { builtinKinds, ConfigPipeline, FileSource, MeshModel, type ConfigProblem, type MeshSettings } from '@weft/xds-server';
import { CliError, exitCode } from './cli-error.js';

export interface LoadedConfig {
  model: MeshModel;
  problems: readonly ConfigProblem[];
}

export const defaultSettings: MeshSettings = { trustDomain: 'cluster.local', clusterDomain: 'cluster.local', rootNamespace: 'istio-system' };

/** Reads all files and folders once. */
export async function loadConfig(paths: readonly string[], settings: MeshSettings = defaultSettings): Promise<LoadedConfig> {
  requirePaths(paths);
  const model = new MeshModel(settings);
  const pipeline = new ConfigPipeline({ kinds: builtinKinds, model, settings });
  const source = new FileSource([...paths]);
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
