/**
 * Extended attributes: the file's own as they were stored, and what the catalog knows of it as `user.shelfs.*`.
 *
 * Asked for by name the latter always answer. Listed they are for `getfattr` and its like only: `cp -a` and `rsync -X` copy
 * what is listed, and a restored file should be what it was.
 */
import { type Raw, rawBytes, rawOf } from '../base/raw.ts';
import type { Nodes } from '../catalog/tree/nodes.ts';
import type { Caller } from './content.ts';
import type { FileFacts } from './file-facts.ts';
import type { Filesystem } from './filesystem.ts';

export type XattrMode = 'auto' | 'always' | 'never';

export type XattrTools = {
  readonly filesystem: Filesystem;
  readonly nodes: Nodes;
  readonly facts: FileFacts;
  readonly mode: XattrMode;
  /** What the process calls itself (`comm`); undefined where it is gone or not ours to see. */
  processName(pid: number): string | undefined;
};

/** Programs that list attributes to show them. */
const SHOWS = new Set(['getfattr', 'xattr', 'attr', 'lsattr']);

export class Xattrs {
  readonly #tools: XattrTools;

  constructor(tools: XattrTools) {
    this.#tools = tools;
  }

  /** Undefined: it has none of that name. */
  get(nodeId: number, name: Raw): Buffer | undefined {
    const { filesystem, nodes, facts } = this.#tools;
    const found = filesystem.rowOf(nodeId);
    if (!found) return undefined;
    if (facts.isName(name)) {
      const value = facts.value(found, name);
      return value === undefined ? undefined : rawBytes(rawOf(value));
    }
    return nodes.xattrs(found.row).find((xattr) => xattr.name === name)?.value;
  }

  /** Names, each with its NUL; undefined for what is virtual. */
  list(nodeId: number, { pid }: Caller): Buffer {
    const { filesystem, nodes, facts, mode } = this.#tools;
    const found = filesystem.rowOf(nodeId);
    if (!found) return Buffer.alloc(0);
    const names: Raw[] = nodes.xattrs(found.row).map(({ name }) => name);
    if (mode === 'always' || (mode === 'auto' && this.#shows(pid)))
      names.push(...facts.names(found));
    return rawBytes(names.map((name) => `${name}\0`).join('') as Raw);
  }

  #shows(pid: number): boolean {
    const name = this.#tools.processName(pid);
    return name !== undefined && SHOWS.has(name);
  }
}
