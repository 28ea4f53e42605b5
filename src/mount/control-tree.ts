/**
 * The root of the mount and what stands in it by name only: `.snapshots` and `.shelfs`. readdir does not show the two, so that
 * a walk of the mount is a walk of the files; whoever asks for them by name finds them.
 */
import { strict as assert } from 'node:assert';
import { type Raw, rawOf } from '../base/raw.ts';
import type { Host } from '../catalog/tree/directories.ts';
import { type Snapshot, snapshotName } from '../catalog/tree/snapshots.ts';
import type { CatalogTree } from './catalog-tree.ts';
import { FOREVER_SECONDS, LIVE_SECONDS } from './catalog-tree.ts';
import { numberOfName } from './inode-number.ts';
import { type Listed, type Listing, listOf } from './listing.ts';
import { directoryNode, ROOT_NODE, virtualNode } from './node-id.ts';
import type { EntryReply } from './protocol/entry.ts';
import { PERIODS, type Period, type SnapshotNames } from './snapshots-tree.ts';
import {
  hasFolder,
  mediumViewNumber,
  snapshotViewNumber,
  VIEW_NUMBER,
  type View,
} from './views.ts';
import {
  IN_USE_SECONDS,
  NO_NODE,
  type VirtualNode,
  type VirtualNodes,
  type VirtualOwner,
  virtualAttributes,
} from './virtual.ts';

/** What the control folders tell of; each is asked anew whenever somebody looks. */
export type ControlFacts = {
  readonly owner: VirtualOwner;
  /** The host whose files stand at the root; undefined while the catalog knows none. */
  rootHost(): Host | undefined;
  hosts(): readonly Host[];
  /** Media with a label: barcode and id. */
  media(): readonly { readonly id: number; readonly barcode: string }[];
  /** For people. */
  wantedText(): string;
  jobsText(): string;
};

export type ControlTools = {
  readonly nodes: VirtualNodes;
  readonly tree: CatalogTree;
  readonly snapshots: SnapshotNames;
  readonly facts: ControlFacts;
  view(viewNumber: number): View;
};

/** Numbers of the fixed virtual nodes. */
const NUMBER = {
  snapshots: 2,
  hourly: 3,
  daily: 4,
  monthly: 5,
  control: 6,
  hosts: 7,
  media: 8,
  wanted: 9,
  jobs: 10,
  emptyRoot: 11,
} as const;

export const SNAPSHOTS_NAME = '.snapshots' as Raw;
export const CONTROL_NAME = '.shelfs' as Raw;

/** Why a name is asked for: only a look-up makes a node. */
type Purpose = 'lookup' | 'listing';

type Directory = Extract<VirtualNode, { kind: 'directory' }>;

export class ControlTree {
  readonly #tools: ControlTools;

  constructor(tools: ControlTools) {
    this.#tools = tools;
    const { nodes } = tools;
    nodes.fix(ROOT_NODE, this.#root());
    nodes.fix(NUMBER.snapshots, this.#snapshots());
    for (const period of PERIODS) nodes.fix(NUMBER[period], this.#period(period));
    nodes.fix(NUMBER.control, this.#control());
    nodes.fix(NUMBER.hosts, this.#hosts());
    nodes.fix(NUMBER.media, this.#media());
    nodes.fix(
      NUMBER.wanted,
      this.#text(NUMBER.wanted, () => tools.facts.wantedText()),
    );
    nodes.fix(
      NUMBER.jobs,
      this.#text(NUMBER.jobs, () => tools.facts.jobsText()),
    );
    nodes.fix(NUMBER.emptyRoot, this.#directory(NUMBER.emptyRoot, { names: () => [] }));
  }

  #root(): Directory {
    const { tree, view, facts } = this.#tools;
    return {
      kind: 'directory',
      attributes: () => {
        const host = facts.rootHost();
        const own = host && tree.directory(view(VIEW_NUMBER.root), host.directoryId);
        return own ?? virtualAttributes(ROOT_NODE, 'directory', facts);
      },
      lookup: (name) => {
        if (name === SNAPSHOTS_NAME) return this.#entry(NUMBER.snapshots);
        if (name === CONTROL_NAME) return this.#entry(NUMBER.control);
        const host = facts.rootHost();
        return host && tree.lookup(view(VIEW_NUMBER.root), host.directoryId, name);
      },
      list: () => {
        const host = facts.rootHost();
        if (!host) return listOf([]);
        return without(tree.entries(view(VIEW_NUMBER.root), host.directoryId), [
          SNAPSHOTS_NAME,
          CONTROL_NAME,
        ]);
      },
    };
  }

  #snapshots(): Directory {
    const { snapshots } = this.#tools;
    const find = (name: Raw, purpose: Purpose): EntryReply | undefined => {
      const snapshot = snapshots.find(name);
      if (snapshot) return this.#snapshotRoot(snapshot);
      const target = snapshots.linkTarget(name);
      if (target) return this.#link(`${SNAPSHOTS_NAME}/${name}`, target, purpose);
      const period = PERIODS.find((candidate) => candidate === name);
      return period && this.#entry(NUMBER[period]);
    };
    return this.#directory(NUMBER.snapshots, {
      names: () => {
        const all = snapshots.all().filter(({ id }) => hasFolder(id));
        const links = all.length > 0 ? ['latest', ...PERIODS] : PERIODS;
        return [...all.map(snapshotName), ...links] as Raw[];
      },
      find,
    });
  }

  #period(period: Period): Directory {
    const { snapshots } = this.#tools;
    const names = () => snapshots.ofPeriod(period).map((snapshot) => snapshotName(snapshot) as Raw);
    return this.#directory(NUMBER[period], {
      names,
      find: (name, purpose) =>
        names().includes(name)
          ? this.#link(`${period}/${name}`, `../${name}` as Raw, purpose)
          : undefined,
    });
  }

  #control(): Directory {
    const { facts } = this.#tools;
    const hostView = (viewNumber: number) => {
      const host = facts.rootHost();
      return host ? this.#hostRoot(viewNumber, host) : this.#entry(NUMBER.emptyRoot);
    };
    const entries: Readonly<Record<string, () => EntryReply>> = {
      wanted: () => this.#entry(NUMBER.wanted),
      jobs: () => this.#entry(NUMBER.jobs),
      media: () => this.#entry(NUMBER.media),
      hosts: () => this.#entry(NUMBER.hosts),
      tree: () => hostView(VIEW_NUMBER.tree),
      versions: () => hostView(VIEW_NUMBER.versions),
      deleted: () => hostView(VIEW_NUMBER.deleted),
    };
    return this.#directory(NUMBER.control, {
      names: () => Object.keys(entries) as Raw[],
      find: (name) => (Object.hasOwn(entries, name) ? entries[name]?.() : undefined),
    });
  }

  #hosts(): Directory {
    const { facts } = this.#tools;
    return this.#directory(NUMBER.hosts, {
      names: () => facts.hosts().map(({ name }) => rawOf(name)),
      find: (name) => {
        const host = facts.hosts().find((candidate) => rawOf(candidate.name) === name);
        return host && this.#hostRoot(VIEW_NUMBER.hosts, host);
      },
    });
  }

  #media(): Directory {
    const { facts } = this.#tools;
    return this.#directory(NUMBER.media, {
      names: () => facts.media().map(({ barcode }) => rawOf(barcode)),
      find: (name) => {
        const medium = facts.media().find(({ barcode }) => rawOf(barcode) === name);
        if (!medium) return undefined;
        const host = facts.rootHost();
        return host
          ? this.#hostRoot(mediumViewNumber(medium.id), host)
          : this.#entry(NUMBER.emptyRoot);
      },
    });
  }

  #text(number: number, make: () => string): VirtualNode {
    const text = () => Buffer.from(make(), 'utf8');
    const { facts } = this.#tools;
    return {
      kind: 'text',
      text,
      attributes: () =>
        virtualAttributes(virtualNode(number), 'text', {
          owner: facts.owner,
          sizeBytes: text().length,
        }),
    };
  }

  #directory(
    number: number,
    {
      names,
      find = () => undefined,
    }: { names(): Raw[]; find?(name: Raw, purpose: Purpose): EntryReply | undefined },
  ): Directory {
    const { facts } = this.#tools;
    return {
      kind: 'directory',
      attributes: () => virtualAttributes(virtualNode(number), 'directory', facts),
      lookup: (name) => find(name, 'lookup'),
      list: () => {
        const listed: Listed[] = [];
        for (const name of names()) {
          const entry = find(name, 'listing');
          if (entry) listed.push({ name, entry });
        }
        return listOf(listed);
      },
    };
  }

  #hostRoot(viewNumber: number, { directoryId }: Host): EntryReply {
    const { tree, view, facts } = this.#tools;
    const nodeId = directoryNode(viewNumber, directoryId);
    const own = tree.directory(view(viewNumber), directoryId);
    const attributes = own ?? virtualAttributes(nodeId, 'directory', facts);
    const seconds = view(viewNumber).isFixed ? FOREVER_SECONDS : LIVE_SECONDS;
    return { nodeId, attributes, entrySeconds: seconds, attributeSeconds: seconds };
  }

  #snapshotRoot(snapshot: Snapshot): EntryReply {
    const host = this.#tools.facts.rootHost();
    if (!host) return this.#entry(NUMBER.emptyRoot);
    return this.#hostRoot(snapshotViewNumber(snapshot.id), host);
  }

  #link(path: string, target: Raw, purpose: Purpose): EntryReply {
    const { nodes, facts } = this.#tools;
    const key = `link:${path}:${target}`;
    const attributes = virtualAttributes(numberOfName(key), 'link', {
      owner: facts.owner,
      sizeBytes: target.length,
    });
    const make = () => ({ kind: 'link', target, attributes: () => attributes }) as const;
    const nodeId = purpose === 'listing' ? NO_NODE : nodes.of(key, make);
    return {
      nodeId,
      attributes,
      entrySeconds: IN_USE_SECONDS,
      attributeSeconds: LIVE_SECONDS,
    };
  }

  #entry(number: number): EntryReply {
    const node = this.#tools.nodes.get(number);
    assert(node, `virtual node ${number} is not there yet`);
    // What a text says may differ with every look.
    const attributeSeconds = node.kind === 'text' ? 0 : LIVE_SECONDS;
    return {
      nodeId: virtualNode(number),
      attributes: node.attributes(),
      entrySeconds: LIVE_SECONDS,
      attributeSeconds,
    };
  }
}

/** A listing that leaves names out; the places of the others stay. */
function without(listing: Listing, names: readonly Raw[]): Listing {
  return {
    at: (index) => {
      const listed = listing.at(index);
      return listed && names.includes(listed.name) ? { ...listed, isHidden: true } : listed;
    },
  };
}
