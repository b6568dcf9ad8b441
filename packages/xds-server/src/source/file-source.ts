import { readFile } from 'node:fs/promises';
import { silentLogger, systemClock, type Clock, type Logger, type Timer } from '@weft/spiffe';
import { objectKey } from '../config/config-object.js';
import { parseConfigFileInSlices } from './config-file.js';
import type { ConfigSink, ConfigSource } from './config-source.js';
import { readTree, type Folders, type TreeFile } from './file-tree.js';
import { FolderWatch } from './folder-watch.js';

export interface FileSourceOptions {
  /** Default `files`. */
  name?: string;
  /** Changes that follow each other faster are read together. Default 50 ms. */
  debounceMs?: number;
  /** An object or a file that disappeared is gone once it was missing for this long: it may be half-written. Default 250 ms. */
  confirmMs?: number;
  /** How often files are looked at without any sign of a change. Default 2000 ms. */
  pollMs?: number;
  clock?: Clock;
  logger?: Logger;
}

interface Known {
  root: number;
  signature: string;
  keys: ReadonlySet<string>;
  /** When something was found missing, in the clock's milliseconds. */
  missingSince?: number;
}

/** A larger file is not configuration; its documents have a limit of their own. */
const maxFileBytes = 64 * 1024 * 1024;

/** Configuration in files and folders (`*.yaml`, `*.yml`, `*.json`), followed as they change. */
export class FileSource implements ConfigSource {
  readonly name: string;
  readonly #paths: readonly string[];
  readonly #options: Required<Omit<FileSourceOptions, 'name'>>;
  readonly #known = new Map<string, Known>();
  readonly #watch: FolderWatch;
  #followed: Folders = new Map();
  #sink: ConfigSink | undefined;
  #timer: Timer | undefined;
  #due = Infinity;
  #firstEvent = Infinity;
  #scanning: Promise<void> | undefined;
  #again = false;
  #closed = false;

  /** `paths`: the first wins where two hold the same object. */
  constructor(paths: readonly string[], { name = 'files', debounceMs = 50, confirmMs = 250, pollMs = 2000, clock = systemClock, logger = silentLogger }: FileSourceOptions = {}) {
    this.name = name;
    this.#paths = paths;
    this.#options = { debounceMs, confirmMs, pollMs, clock, logger };
    this.#watch = new FolderWatch(() => this.#changed(), logger);
  }

  /** Rejects where a path does not exist or cannot be read. Problems inside files go to the sink. */
  async start(sink: ConfigSink): Promise<void> {
    this.#sink = sink;
    for (const path of this.#paths) {
      await readTree(path).catch((error: NodeJS.ErrnoException) => {
        throw new Error(error.code === 'ENOENT' ? `${path}: no such file or folder` : `${path}: ${error.message}`, { cause: error });
      });
    }
    await this.#scan();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    this.#watch.close();
    await this.#scanning;
  }

  /** Puts the scan off while changes keep coming, but never longer than ten times: somebody may write without end. */
  #changed(): void {
    const { clock, debounceMs } = this.#options;
    const now = clock.now();
    this.#firstEvent = Math.min(this.#firstEvent, now);
    this.#schedule(Math.min(debounceMs, this.#firstEvent + 10 * debounceMs - now), true);
  }

  #schedule(delayMs: number, postpone = false): void {
    const { clock, logger, pollMs } = this.#options;
    const due = clock.now() + Math.max(0, delayMs);
    if (this.#closed || (!postpone && due >= this.#due)) return;
    this.#timer?.cancel();
    this.#due = due;
    this.#timer = clock.setTimeout(() => {
      this.#scan().catch((error: unknown) => {
        logger.error({ err: error }, 'configuration could not be taken over; it is read again later');
        this.#schedule(pollMs);
      });
    }, Math.max(0, delayMs));
  }

  #scan(): Promise<void> {
    this.#again = this.#scanning !== undefined;
    this.#scanning ??= this.#scanNow().finally(() => {
      this.#scanning = undefined;
      if (this.#again) this.#schedule(0);
    });
    return this.#scanning;
  }

  async #scanNow(): Promise<void> {
    this.#due = Infinity;
    this.#firstEvent = Infinity;
    const folders: Folders = new Map();
    const seen = new Set<string>();
    for (const [root, path] of this.#paths.entries()) {
      try {
        const tree = await readTree(path);
        for (const [folder, only] of tree.folders) folders.set(folder, folders.has(folder) ? undefined : only);
        // Before reading: a change in between is an event, and makes another scan.
        this.#watch.follow(new Map([...this.#followed, ...folders]));
        for (const file of tree.files) {
          if (seen.has(file.path)) continue;
          seen.add(file.path);
          await this.#load(file, root);
        }
      } catch (error) {
        this.#rootLost(root, path, error as Error, seen);
      }
      if (this.#closed) return;
    }
    this.#followed = folders;
    this.#watch.follow(folders);
    for (const [path, known] of this.#known) if (!seen.has(path)) this.#missing(path, known);
    this.#schedule(this.#options.pollMs);
  }

  async #load(file: TreeFile, root: number): Promise<void> {
    const { clock, confirmMs } = this.#options;
    const known = this.#known.get(file.path);
    const unchanged = known?.signature === file.signature;
    const waited = known?.missingSince !== undefined && clock.now() - known.missingSince >= confirmMs;
    if (unchanged && !waited) {
      // A file that was away for a moment and came back as it was.
      if (known.missingSince !== undefined) this.#schedule(confirmMs);
      return;
    }
    const remember = (more: Omit<Known, 'root' | 'signature'>) => this.#known.set(file.path, { root, signature: file.signature, ...more });
    const text = await this.#read(file);
    if (text instanceof Error) {
      this.#sink?.unreadable(file.path, [{ severity: 'error', reason: text.message, position: { file: file.path, line: 1, column: 1 } }]);
      remember({ keys: known?.keys ?? new Set() });
      return;
    }
    const { objects, problems, incomplete } = await parseConfigFileInSlices(file.path, text, this.name);
    const keys = new Set(objects.map(objectKey));
    const lost = [...(known?.keys ?? [])].filter((key) => !keys.has(key));
    if (this.#closed) return;
    const unconfirmed = lost.length > 0 && !(unchanged && waited);
    this.#sink?.replace(file.path, objects, problems, { incomplete: incomplete || unconfirmed, order: root });
    if (incomplete || unconfirmed) for (const key of lost) keys.add(key);
    if (unconfirmed) {
      remember({ keys, missingSince: clock.now() });
      this.#schedule(confirmMs);
    } else remember({ keys });
  }

  async #read(file: TreeFile): Promise<string | Error> {
    if (file.size > maxFileBytes) return new Error(`the file is ${file.size} bytes long; at most ${maxFileBytes} are allowed`);
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(await readFile(file.path));
    } catch (error) {
      return error instanceof TypeError ? new Error('the file is not UTF-8 text') : (error as Error);
    }
  }

  #missing(path: string, known: Known): void {
    const { clock, confirmMs } = this.#options;
    known.signature = '';
    known.missingSince ??= clock.now();
    if (clock.now() - known.missingSince < confirmMs) return this.#schedule(confirmMs);
    this.#known.delete(path);
    this.#sink?.remove(path);
  }

  /** A volume that is not mounted at the moment must not empty the mesh: everything below it stays, and is reported. */
  #rootLost(root: number, path: string, error: Error, seen: Set<string>): void {
    this.#options.logger.error({ path, err: error }, 'configuration cannot be read; what was read before stays in force');
    for (const [file, known] of this.#known) {
      if (known.root !== root || seen.has(file)) continue;
      seen.add(file);
      this.#sink?.unreadable(file, [{ severity: 'error', reason: `cannot be read: ${error.message}`, position: { file, line: 1, column: 1 } }]);
      known.signature = '';
    }
  }
}
