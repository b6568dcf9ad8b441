// Configuration that a program holds itself: a control plane embedded in a test or a tool needs no files.
import { parseConfigFile } from './config-file.js';
import type { ConfigSink, ConfigSource } from './config-source.js';

export class TextSource implements ConfigSource {
  readonly name: string;
  #text: string;
  #sink: ConfigSink | undefined;

  /** `text`: YAML or JSON as in a file, several documents and raw resources included. `name` stands for the file in messages. */
  constructor(text: string, { name = 'text' }: { name?: string } = {}) {
    this.name = name;
    this.#text = text;
  }

  async start(sink: ConfigSink): Promise<void> {
    this.#sink = sink;
    this.#deliver();
  }

  /** Replaces everything. What cannot be read keeps its last good version, as in a file. */
  set(text: string): void {
    this.#text = text;
    this.#deliver();
  }

  close(): void {
    this.#sink = undefined;
  }

  #deliver(): void {
    const { objects, problems, incomplete } = parseConfigFile(this.name, this.#text, this.name);
    this.#sink?.replace(this.name, objects, problems, { incomplete });
  }
}
