/** Rows that are told of at once: the same plan, the same heads and the same lines as one by one. */
import { expect, test } from 'vitest';
import { MemberEncoder } from '../../../../src/archive/member.ts';
import { type Random, seededRandom } from '../../../../src/base/random.ts';
import { type Raw, rawOf } from '../../../../src/base/raw.ts';
import { Sources } from '../../../../src/catalog/job/sources.ts';
import type { PendingEntry, UsualRows } from '../../../../src/catalog/pending/rows.ts';
import { PendingSpan } from '../../../../src/catalog/pending/span.ts';
import type { Run } from '../../../../src/catalog/run/run.ts';
import type { Attributes } from '../../../../src/domain/entry.ts';
import { Batch } from '../../../../src/job/backup/batch.ts';
import type { PackedTask } from '../../../../src/job/backup/fragment.ts';
import { planItem } from '../../../../src/job/backup/items.ts';
import { Outgoing } from '../../../../src/job/backup/outgoing.ts';
import type { OutgoingEntry } from '../../../../src/job/backup/outgoing-entry.ts';
import { OutgoingSpan, USUAL_BYTES_MAX } from '../../../../src/job/backup/outgoing-span.ts';
import { type Step, stepsOf } from '../../../../src/job/backup/plan-steps.ts';
import type { PlanItem } from '../../../../src/pack/item.ts';
import { planLimits } from '../../../../src/pack/limits.ts';
import { Planner } from '../../../../src/pack/plan.ts';
import { NO_FRAME } from '../../../../src/source/door.ts';
import { attributes, DIRECTORY, source, world } from '../../catalog/scratch.ts';

const COPIES = 2;
const DIRECTORIES = ['/s', '/s/b', '/s/b/c', '/s/b\xe4', '/s/b\\d', '/s/long'.padEnd(150, 'g')];

/** A run with a few hundred rows: mostly usual files, among everything else. */
function rows(random: Random) {
  const { catalog, hostId, begin } = world();
  const run = begin();
  const path = '/s' as Raw;
  new Sources(catalog).add({ name: 's', hostId, path, original: path, options: {} });
  for (const directory of DIRECTORIES) {
    const { directoryId } = run.place(directory as Raw, hostId);
    const name = directory.slice(directory.lastIndexOf('/') + 1) as Raw;
    const change = 'new' as const;
    run.add([{ directoryId, name, change, attributes: DIRECTORY, sourceInode: source(1) }]);
    const below = run.directory(directory as Raw, hostId);
    run.add(
      Array.from({ length: 98 }, (_, inode) => {
        const entry = { directoryId: below, name: nameOf(random, inode), change };
        const links = random.below(20) === 0 ? 2 : 1;
        return { ...entry, attributes: odd(random), sourceInode: source(inode * 7 + 9, links) };
      }),
    );
  }
  const outgoing = new Outgoing(new Sources(catalog).list(), catalog, 'here');
  return { run, outgoing };
}

function nameOf(random: Random, inode: number): Raw {
  const kinds = ['f', 'f', 'f', 'f', '\xfc', 'a\tb', 'f'.repeat(120), 'f'.repeat(220)];
  return `${kinds[random.below(kinds.length)]} ${inode}` as Raw;
}

function odd(random: Random): Attributes {
  const sizeBytes = 1 + random.below(random.below(9) === 0 ? 2 * USUAL_BYTES_MAX : 5000);
  const mode = random.below(5) === 0 ? 0o600 : 0o644;
  const user = random.below(6) === 0 ? ('\xfc' as Raw) : rawOf('me');
  const nanoseconds = random.below(30) === 0 ? 3_000_000_000 : random.below(1e9);
  const mtime = { seconds: random.below(3e9) - 5, nanoseconds };
  const plain = { sizeBytes, mode, user, uid: user.length, mtime };
  const more: Partial<Attributes>[] = [
    { sizeBytes: 0 },
    { type: 'symlink', sizeBytes: 0, target: rawOf('x') },
    { xattrs: [{ name: rawOf('user.x'), value: Buffer.from('y') }] },
  ];
  return attributes({ ...plain, ...more[random.below(25)] });
}

function one(outgoing: Outgoing, row: PendingEntry): PlanItem<OutgoingEntry> {
  const entry = outgoing.of(row, { isFinal: false });
  if (!entry) throw new Error('of a source of the run');
  return planItem(entry, COPIES);
}

function* oneByOne(run: Run, outgoing: Outgoing): Generator<PlanItem<OutgoingEntry>> {
  for (const row of run.entries('unstored')) yield one(outgoing, row);
}

function* inSpans(run: Run, outgoing: Outgoing): Generator<PlanItem<OutgoingEntry> | OutgoingSpan> {
  for (const row of run.toPlan(USUAL_BYTES_MAX)) {
    if (row instanceof PendingSpan) yield spanOf(outgoing, row);
    else yield one(outgoing, row);
  }
}

function spanOf(outgoing: Outgoing, row: UsualRows): OutgoingSpan {
  const place = outgoing.spanPlace(row);
  if (!place) throw new Error('of a source of the run');
  return new OutgoingSpan(row, place, COPIES);
}

test('the same rows in the same order, and what they take together is what each takes, added up', () => {
  const { run, outgoing } = rows(seededRandom(1));
  const items = [...oneByOne(run, outgoing)];
  let at = 0;
  let inOne = 0;
  for (const item of inSpans(run, outgoing)) {
    const singles = item instanceof OutgoingSpan ? [...item.items()] : [item];
    expect(singles).toEqual(items.slice(at, at + singles.length));
    at += singles.length;
    if (!(item instanceof OutgoingSpan)) continue;
    inOne += item.count;
    const sum = (of: (item: PlanItem<OutgoingEntry>) => number) =>
      singles.reduce((total, single) => total + of(single), 0);
    expect(item.group()).toEqual({
      entries: item.count,
      storedBytesMax: sum(({ storedBytesMax }) => storedBytesMax),
      journalBytesMax: sum(({ journalBytesMax }) => journalBytesMax),
      untoldBytesMax: sum(({ untoldBytesMax = 0 }) => untoldBytesMax),
    });
    expect(singles.map(({ key }) => key.row.path)).toEqual(
      singles.map((_, index) => item.pathOf(index)),
    );
  }
  expect(at).toBe(items.length);
  expect(inOne).toBeGreaterThan(items.length / 2);
});

test.each([
  ['an archive for all', 1e9, 1e9],
  ['archives of few', 60_000, 1e9],
  ['small media', 200_000, 500_000],
  ['media that end amid', 300_000, 700_000],
])('the same plan: %s', (_, archiveBytes, roomBytes) => {
  const { run, outgoing } = rows(seededRandom(2));
  const limits = {
    ...planLimits({
      freshRoomBytes: roomBytes,
      configured: {},
      bounds: { blockBytes: 4096, labelBytes: 4096, archiveBytes: 8192 },
      reserve: {
        fixedBytes: 0,
        perMediumJournalByte: 0.1,
        perRunJournalByte: 0.2,
        untoldBytes: 9e4,
      },
    }),
    archiveBytes,
  };
  const media = Array.from({ length: 40 }, (_, index) => {
    return { key: `M${String(index).padStart(2, '0')}`, state: 'scratch' as const, roomBytes };
  });
  const plan = (items: Iterable<PlanItem<OutgoingEntry> | OutgoingSpan>) =>
    [...stepsOf(new Planner<OutgoingEntry>({ media, copies: 1, limits }), items)].flatMap(shown);
  const expected = plan(oneByOne(run, outgoing));
  expect(plan(inSpans(run, outgoing))).toEqual(expected);
  expect(expected.length).toBeGreaterThan(500);
});

function shown(step: Step): string[] {
  if (step instanceof OutgoingSpan)
    return Array.from({ length: step.count }, (_, index) => step.pathOf(index));
  if (step.kind === 'begin') return [`begin ${step.media}`];
  return step.kind === 'piece'
    ? [step.item.key.row.path]
    : [`end ${step.bytesMax} ${step.entries}`];
}

/** A task as its reader sees it; frames, of which one may have been kept where the other made it anew, by their bytes. */
function seen({ frames, frameOf, heads, stamps, ...task }: PackedTask) {
  const texts = frames.map(({ bytes, prefix, records }) =>
    [Buffer.from(bytes).toString('latin1'), prefix, records].join('|'),
  );
  const framed = Array.from(frameOf, (index) => (index === NO_FRAME ? undefined : texts[index]));
  return { ...task, framed, heads: Buffer.from(heads), stamps: [...stamps] };
}

test('the same batches, cut at the same files', () => {
  const { run, outgoing } = rows(seededRandom(3));
  const batches = (items: Iterable<PlanItem<OutgoingEntry> | OutgoingSpan>) => {
    const encoder = new MemberEncoder();
    const done: Batch[] = [];
    let batch = new Batch(encoder);
    const next = () => {
      done.push(batch);
      batch = new Batch(encoder);
    };
    for (const item of items) {
      if (item instanceof OutgoingSpan)
        for (let at = batch.addSpan(item, 0); at < item.count; at = batch.addSpan(item, at)) next();
      else if (!batch.add({ item, part: undefined })) {
        next();
        expect(batch.add({ item, part: undefined })).toBe(true);
      }
    }
    return [...done, batch];
  };
  const expected = batches(oneByOne(run, outgoing));
  const found = batches(inSpans(run, outgoing));
  const members = (all: readonly Batch[]) =>
    all.map(({ members }) => Array.from({ length: members.length }, (_, at) => members.at(at)));
  expect(members(found)).toEqual(members(expected));
  expect(found.map((batch) => batch.members.contentBytes)).toEqual(
    expected.map((batch) => batch.members.contentBytes),
  );
  const tasks = (all: readonly Batch[]) => all.map((batch) => seen(batch.finish()));
  expect(tasks(found)).toEqual(tasks(expected));
  expect(found.length).toBeGreaterThan(2);
});
