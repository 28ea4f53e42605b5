/** What `user.shelfs.*` and `user.ltfs.*` say of a file. Values are text, one line or several. */
import type { Raw } from '../base/raw.ts';
import type { ContentFacts, CopyFact, Facts } from '../catalog/content/facts.ts';
import { NODE, type NodeRow, type Nodes } from '../catalog/tree/nodes.ts';
import { type Snapshots, snapshotName } from '../catalog/tree/snapshots.ts';
import type { CatalogTree } from './catalog-tree.ts';

/** Where a content's bytes are now. */
export interface ContentStates {
  /**
   * `online`: staged on disk; `nearline`: in a library or attached; `offline`: on a shelf; `lost`: no copy is left.
   */
  stateOf(contentId: number): 'online' | 'nearline' | 'offline' | 'lost';
  /** Seconds until the first byte, as far as can be told; undefined while somebody has to bring the medium, or for ever. */
  etaSeconds(contentId: number): number | undefined;
}

export type FileFactsTools = {
  readonly nodes: Nodes;
  readonly tree: CatalogTree;
  readonly facts: Facts;
  readonly snapshots: Snapshots;
  readonly states: ContentStates;
  liveSnapshotId(): number;
  /** The host a directory's tree belongs to. */
  hostOf(directoryId: number): number | undefined;
};

/** A node's row; of a directory its id, which tells its place. */
export type Found = { readonly row: NodeRow; readonly directoryId?: number };

type Place = { readonly directoryId: number; readonly name: Raw };

const PREFIX = 'user.shelfs.';

export class FileFacts {
  readonly #tools: FileFactsTools;
  /** By the name behind the prefix, in the order in which they are listed. */
  readonly #ofContent: ReadonlyMap<
    string,
    (facts: ContentFacts, contentId: number) => string | undefined
  >;
  readonly #ofPlace: ReadonlyMap<string, (place: Place, row: NodeRow) => string | undefined>;

  constructor(tools: FileFactsTools) {
    this.#tools = tools;
    const { states } = tools;
    const each = (copies: readonly CopyFact[], line: (copy: CopyFact) => string) =>
      copies.length > 0 ? copies.map(line).join('\n') : undefined;
    this.#ofContent = new Map([
      [`${PREFIX}hash`, ({ hash }) => hash?.toString('hex')],
      [`${PREFIX}state`, (_, contentId) => states.stateOf(contentId)],
      [`${PREFIX}tape`, ({ copies }) => each(copies, ({ barcode }) => barcode)],
      [
        `${PREFIX}position`,
        ({ copies }) => each(copies, ({ fileNumber, block }) => `${fileNumber}:${block}`),
      ],
      [
        `${PREFIX}location`,
        ({ copies }) => each(copies, ({ barcode, location }) => `${barcode} ${location ?? '-'}`),
      ],
      [`${PREFIX}copies`, ({ copies }) => `${copies.filter(({ isGood }) => isGood).length}`],
      [`${PREFIX}eta`, (_, contentId) => states.etaSeconds(contentId)?.toString()],
      [
        `${PREFIX}written`,
        ({ writtenMs }) =>
          writtenMs === undefined ? undefined : new Date(writtenMs).toISOString(),
      ],
      [`${PREFIX}job`, ({ jobNumber }) => jobNumber?.toString()],
      ['user.ltfs.volumeUUID', ({ copies }) => copies[0]?.mediumUuid],
      // One partition is all there is.
      ['user.ltfs.partition', ({ copies }) => (copies[0] ? 'a' : undefined)],
      ['user.ltfs.startblock', ({ copies }) => copies[0]?.block.toString()],
    ]);
    this.#ofPlace = new Map([
      [`${PREFIX}version`, (place, row) => this.#version(place, row)],
      [`${PREFIX}versions`, (place) => `${this.#versions(place).length}`],
      [`${PREFIX}snapshot`, (place, row) => this.#snapshot(place, row)],
      [`${PREFIX}deleted`, (place) => this.#deleted(place)],
      [`${PREFIX}source`, (place) => this.#source(place)],
    ]);
  }

  isName(name: Raw): boolean {
    return this.#ofContent.has(name) || this.#ofPlace.has(name);
  }

  /** Those that say something of this one. */
  names(found: Found): Raw[] {
    const names = [...this.#ofPlace.keys(), ...this.#ofContent.keys()] as Raw[];
    return names.filter((name) => this.value(found, name) !== undefined).toSorted();
  }

  /** Undefined where there is nothing to say: a directory has no hash. */
  value(found: Found, name: Raw): string | undefined {
    const { row } = found;
    const ofContent = this.#ofContent.get(name);
    const contentId = row[NODE.content];
    if (ofContent) {
      return contentId === null
        ? undefined
        : ofContent(this.#tools.facts.ofContent(contentId), contentId);
    }
    const place = this.#placeOf(found);
    return place && this.#ofPlace.get(name)?.(place, row);
  }

  #placeOf({ row, directoryId }: Found): Place | undefined {
    const { nodes, tree } = this.#tools;
    if (directoryId === undefined) {
      const inodeId = row[NODE.inode];
      const met = tree.placeOf(inodeId);
      const name = met && nodes.nameOf(met.directoryId, inodeId);
      return met && name !== undefined ? { directoryId: met.directoryId, name } : undefined;
    }
    const [parent, name] = nodes.place(directoryId);
    return { directoryId: parent, name };
  }

  /** Newest first. */
  #versions({ directoryId, name }: Place): NodeRow[] {
    const snapshotId = this.#tools.liveSnapshotId();
    return this.#tools.nodes.versions({ kind: 'all', snapshotId }, directoryId, name);
  }

  #versionRow(place: Place, row: NodeRow): NodeRow | undefined {
    return this.#versions(place).find((version) => version[NODE.inode] === row[NODE.inode]);
  }

  /** From 1, the oldest. */
  #version(place: Place, row: NodeRow): string | undefined {
    const versions = this.#versions(place);
    const index = versions.findIndex((version) => version[NODE.inode] === row[NODE.inode]);
    return index < 0 ? undefined : `${versions.length - index}`;
  }

  /** The first that shows it like this. */
  #snapshot(place: Place, row: NodeRow): string | undefined {
    const version = this.#versionRow(place, row);
    const snapshot = version && this.#tools.snapshots.from(version[NODE.since]);
    return snapshot && snapshotName(snapshot);
  }

  /** The first that does not show the name any more; `no` while it is there. */
  #deleted(place: Place): string | undefined {
    const [newest] = this.#versions(place);
    if (!newest) return undefined;
    const until = newest[NODE.until];
    if (until === null || until > this.#tools.liveSnapshotId()) return 'no';
    const snapshot = this.#tools.snapshots.from(until);
    return snapshot && snapshotName(snapshot);
  }

  #source({ directoryId, name }: Place): string | undefined {
    const { nodes, facts, hostOf } = this.#tools;
    const hostId = directoryId === 0 ? undefined : hostOf(directoryId);
    if (hostId === undefined) return undefined;
    const parent = nodes.path(directoryId);
    return facts.sourceOf(hostId, (parent === '/' ? `/${name}` : `${parent}/${name}`) as Raw);
  }
}
