/** Retention on the command line: what is shown, what is refused, and with which status. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { SimClock } from '../../../src/base/clock.ts';
import { Alarms } from '../../../src/catalog/job/alarms.ts';
import { CommandLine, HOST } from '../../sim/command-line.ts';
import { tellSnapshot } from '../../sim/told-run.ts';

const DAY_MS = 86_400_000;

/** A snapshot a day from 2026-01-01 on, with rules in the config. */
async function days(count: number, rules: string) {
  const clock = new SimClock(Date.UTC(2026, 0, 1));
  const line = await CommandLine.make(clock);
  const config = join(line.state, 'config.toml');
  writeFileSync(config, `${readFileSync(config, 'utf8')}\n[retention]\n${rules}\n`);
  for (let day = 0; day < count; day += 1) {
    const put = { '/home/file': `bytes of day ${day}` };
    line.withCatalog((catalog) => tellSnapshot(catalog, { put }, { hostName: HOST }));
    clock.advanceMs(DAY_MS);
  }
  return { line, clock };
}

test('snapshots tell why they are kept, which expire, tags and holds', async () => {
  const { line } = await days(4, 'keep-last = 1\ngolden = "monthly"');
  await line.ok('snapshot', 'tag', '2', 'release-2.1');
  expect(await line.ok('snapshot', 'hold', '2026-01-03', '--reason', 'audit')).toMatch(
    /^ 3 +2026-01-03T000000Z +held +audit/m,
  );
  const shown = await line.ok('snapshots');
  expect(shown).toMatch(/^ 1 .* held +golden *$/m);
  expect(shown).toMatch(/^ 2 .* expires +release-2.1 *$/m);
  expect(shown).toMatch(/^ 3 .* held +audit *$/m);
  expect(shown).toMatch(/^ 4 .* newest, last, complete *$/m);
  const { snapshots } = await line.json('snapshots');
  expect(snapshots[1]).toMatchObject({ reasons: [], tags: ['release-2.1'], hold: null });
  expect(await line.fails('snapshot', 'release', '1')).toMatchObject({ exit: 2 });
  expect(await line.ok('snapshot', 'release', '3')).toMatch(/expires/);
  expect((await line.fails('snapshot', 'untag', '3', 'x')).stderr).toMatch(/has no tag x/);
});

test('expire: a dry run changes nothing; then what it said happens', async () => {
  const { line } = await days(4, 'keep-last = 2');
  const said = await line.ok('expire', '--dry-run');
  expect(said).toMatch(
    /2 snapshots would expire, 2 are kept\n28 B in 2 contents become free; stale/,
  );
  const plan = await line.json('expire', '--dry-run');
  expect(plan.expiring.map(({ id }: { id: number }) => id)).toEqual([1, 2]);
  expect(plan).toMatchObject({ refused: null, freed: { contents: 2, bytes: 28 } });
  const events = (await line.ok('expire', '--json'))
    .trim()
    .split('\n')
    .map((text) => JSON.parse(text));
  expect(events.at(-1)).toMatchObject({
    event: 'end',
    expired: ['2026-01-01T000000Z', '2026-01-02T000000Z'],
    kept: 2,
    freed: plan.freed,
  });
  expect(await line.ok('expire')).toMatch(/nothing has expired; 2 snapshots are kept/);
  expect((await line.fails('ls', '/home', '--at', '1')).stderr).toMatch(/snapshot 1 has expired/);
  expect(await line.ok('versions', '/home/file')).not.toMatch(/2026-01-0[12]/);
  expect(await line.ok('jobs')).toMatch(/expire +finished/);
  expect(await line.ok('logs')).toMatch(
    /snapshot 2026-01-01T000000Z has expired: no rule keeps it/,
  );
});

test('an open alarm stops it with a sentence that says how to go on', async () => {
  const { line } = await days(3, 'keep-last = 1');
  expect(await line.ok('alarms')).toBe('no alarm\n');
  line.withCatalog((catalog) => new Alarms(catalog).add(1, ['half of all files \x1b[31mchanged']));
  expect(await line.fails('expire')).toMatchObject({
    exit: 1,
    stderr: expect.stringMatching(/looked like damage .*`shelfs alarms settle 1`/),
  });
  expect(await line.ok('expire', '--dry-run')).toMatch(/but it would be refused/);
  expect(await line.ok('alarms')).toMatch(/^ 1 +1 .* open +half of all files \\x1b\[31mchanged/m);
  expect(await line.fails('alarms', 'settle')).toMatchObject({ exit: 2 });
  expect(await line.fails('alarms', 'settle', '9')).toMatchObject({ exit: 2 });
  expect(await line.ok('alarms', 'settle', '1')).toMatch(/settled/);
  expect((await line.json('alarms')).alarms[0]).toMatchObject({ id: 1, job: 1 });
  expect(await line.ok('expire')).toMatch(/2 snapshots expired/);
});

test('a doubtful clock stops it, until a person says otherwise', async () => {
  const { line, clock } = await days(3, 'keep-last = 1');
  clock.advanceMs(3 * 366 * DAY_MS);
  expect(await line.fails('expire')).toMatchObject({
    exit: 1,
    stderr: expect.stringMatching(/more than a year behind .*--clock-is-right/),
  });
  expect(await line.ok('expire', '--clock-is-right')).toMatch(/2 snapshots expired/);
  expect(await line.ok('expire')).toMatch(/nothing has expired/);
});

test.each([
  ['keep-lasst = 3', /retention: Unrecognized key/],
  ['keep-last = 0', /retention.keep-last/],
  ['keep-all-within = "720"', /"720" is no span; write for instance "720h"/],
  ['keep-within = "1d"\nkeep-all-within = "2d"', /keep-within and keep-all-within are one/],
  ['[retention.sources.home]\npick = "earliest"', /sources.home: say what is kept/],
])('a config that says %j is refused', async (rules, sentence) => {
  const { line } = await days(0, rules);
  expect(await line.fails('expire')).toMatchObject({
    exit: 2,
    stderr: expect.stringMatching(sentence),
  });
});

test('media expire: says what would be lost, and wants the barcode and two words', async () => {
  const { line } = await days(2, '');
  const ask = (...words: string[]) => line.fails('media', 'expire', 'TLD001L9', ...words);
  const first = await ask();
  expect(first.exit).toBe(2);
  expect(first.stderr).toMatch(
    /alone holds 28 B in 2 contents .*\/home\/file.*--yes --confirm TLD001L9/,
  );
  expect((await ask('--yes')).exit).toBe(2);
  expect((await ask('--confirm', 'TLD001L9')).exit).toBe(2);
  const last = await ask('--yes', '--confirm', 'TLD001L9');
  expect([last.exit, last.stderr]).toEqual([21, expect.stringMatching(/--lose-last-copies/)]);
  const words = ['--yes', '--confirm', 'TLD001L9', '--lose-last-copies'];
  expect(await line.ok('media', 'expire', 'TLD001', ...words)).toMatch(/given up/);
});
