// The configuration files below some paths, and the folders to watch for changes of them.
import { readdir, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';

export interface TreeFile {
  path: string;
  /** Changes whenever the content may have: another inode (rename-over), size or time. */
  signature: string;
  size: number;
}

/** Folders to watch; a name where only changes of that entry matter. */
export type Folders = Map<string, string | undefined>;

export interface FileTree {
  files: TreeFile[];
  folders: Folders;
}

const extension = /\.(ya?ml|json)$/i;

/** Rejects where the path itself does not exist or cannot be read. */
export async function readTree(root: string): Promise<FileTree> {
  const tree: FileTree = { files: [], folders: new Map() };
  const found = await stat(root);
  // Rename-over and a swapped link change the folder around a path, not what was there. Around a folder there may be
  // anything (a home, /tmp), so only its own name counts; a file's neighbours may be the links that lead to it.
  const around = dirname(resolve(root));
  if (found.isDirectory()) {
    tree.folders.set(around, basename(resolve(root)));
    await readFolder(root, tree, new Set());
  } else {
    tree.folders.set(around, undefined);
    await addFile(root, tree);
  }
  return tree;
}

async function readFolder(folder: string, tree: FileTree, ancestors: ReadonlySet<string>): Promise<void> {
  const real = await realpath(folder);
  if (ancestors.has(real)) return;
  tree.folders.set(folder, undefined);
  const names = (await readdir(folder)).sort();
  for (const name of names) {
    // Hidden names are editors' and Kubernetes' own: `..data` holds the files that the visible links lead to.
    if (name.startsWith('.')) continue;
    const path = join(folder, name);
    const found = await stat(path).catch(() => undefined);
    if (found?.isDirectory()) await readFolder(path, tree, new Set([...ancestors, real]));
    else if (found && extension.test(name)) await addFile(path, tree);
  }
}

async function addFile(path: string, tree: FileTree): Promise<void> {
  const found = await stat(path, { bigint: true }).catch(() => undefined);
  if (!found) return;
  tree.files.push({ path, signature: `${found.dev}:${found.ino}:${found.size}:${found.mtimeNs}`, size: Number(found.size) });
  const real = await realpath(path).catch(() => path);
  if (real !== path) tree.folders.set(dirname(real), undefined);
}
