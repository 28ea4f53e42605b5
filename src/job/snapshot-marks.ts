/** What people say of single snapshots: tags, and holds that no rule overrides. */
import { usage } from '../base/errors.ts';
import { printable } from '../base/text.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { Retention } from '../catalog/expiry/retention.ts';
import { Snapshots } from '../catalog/tree/snapshots.ts';
import type { RetentionConfig } from '../config.ts';
import { type Retained, retainedSnapshots } from './retention.ts';

const REASON_DEFAULT = 'on hold';
/** A line of a table has room for it. */
const REASON_MAX = 200;
const TAG = /^[\p{L}\p{N}][\p{L}\p{N}._:/-]{0,63}$/u;

export type Marking = {
  readonly catalog: Catalog;
  readonly retention: RetentionConfig;
  /** As people say it: id, name or time. */
  readonly snapshot: string;
};

/** @throws CodedError USAGE */
export function tagSnapshot(marking: Marking, tag: string): Retained {
  if (!TAG.test(tag))
    throw usage(
      `"${printable(tag)}" is no tag: letters, digits, dot, dash, colon, slash; 64 at most`,
    );
  return marked(marking, (marks, id) => marks.tag(id, tag));
}

/** @throws CodedError USAGE also where it has no such tag */
export function untagSnapshot(marking: Marking, tag: string): Retained {
  return marked(marking, (marks, id) => {
    if (!marks.untag(id, tag)) throw usage(`snapshot ${id} has no tag ${printable(tag)}`);
  });
}

/** @throws CodedError USAGE */
export function holdSnapshot(marking: Marking, reason = REASON_DEFAULT): Retained {
  const text = reason.trim();
  if (text === '' || text.length > REASON_MAX)
    throw usage(`--reason: say why, in ${REASON_MAX} characters at most`);
  return marked(marking, (marks, id) => marks.hold([id], text));
}

/** @throws CodedError USAGE also where it is not on hold, or the config holds it */
export function releaseSnapshot(marking: Marking): Retained {
  const released = marked(marking, (marks, id, { hold, isGolden }) => {
    if (isGolden)
      throw usage(
        `the config holds snapshot ${id}: it is the first of its ${marking.retention.golden === 'yearly' ? 'year' : 'month'} (retention.golden)`,
      );
    if (hold === undefined) throw usage(`snapshot ${id} is not on hold`);
    marks.release(id);
  });
  return released;
}

function marked(
  { catalog, retention, snapshot }: Marking,
  mark: (marks: Retention, id: number, before: Retained) => void,
): Retained {
  return catalog.write(() => {
    const { id } = new Snapshots(catalog).resolve(snapshot);
    const now = () => {
      const found = retainedSnapshots(catalog, retention).find((other) => other.id === id);
      if (!found) throw usage(`there is no snapshot ${id}`);
      return found;
    };
    mark(new Retention(catalog), id, now());
    return now();
  });
}
