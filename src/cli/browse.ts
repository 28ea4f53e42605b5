/** `shelfs ls`, `stat`, `versions`: looking into the catalog. */
import { formatSize } from '../base/bytes.ts';
import { workingDirectory } from '../base/machine.ts';
import { joinRaw, rawText } from '../base/raw.ts';
import { formatTable, printable } from '../base/text.ts';
import { type Details, listPath, statPath, type Version, versionsOf } from '../job/browse.ts';
import { type PoolCopiesOf, policiesOf } from '../job/groom/policies.ts';
import { pathArgument } from '../job/path-argument.ts';
import { nameOf } from '../job/snapshots.ts';
import { command, type OpenContext } from './context.ts';
import { documentEntry, formatEntry, formatMode, formatOwner, formatXattrs } from './entry.ts';
import { documentPath, formatTime } from './format.ts';
import { AT, HOST } from './path-options.ts';

const PATH = {
  type: 'string',
  demandOption: true,
  describe: 'as it was backed up; bytes that cannot be typed as \\xNN',
} as const;

export const ls = (open: OpenContext) =>
  command(
    {
      command: 'ls <path>',
      describe: 'What is in a directory, now or at any time',
      builder: (yargs) => yargs.positional('path', PATH).option('at', AT).option('host', HOST),
      run: async ({ app, output, signal }, args) => {
        const path = pathArgument(args.path, workingDirectory());
        const hostName = args.host ?? app.host.name;
        const found = listPath(await app.catalog('read'), { hostName, path, at: args.at });
        const { entry, entries, snapshot } = found;
        const items = entries?.map(({ name, inode }) => ({
          name,
          path: joinRaw(path, name),
          inode,
        })) ?? [{ name: path, path, inode: entry.inode }];
        const list = {
          name: 'entries',
          head: { snapshot: nameOf(snapshot), host: hostName, ...documentPath(path) },
          items,
          document: ({ path: full, inode }: (typeof items)[number]) => ({
            ...documentPath(full),
            ...documentEntry(inode),
          }),
          text: ({ name, inode }: (typeof items)[number]) => formatEntry(name, inode),
        };
        await output.list(list, signal);
      },
    },
    open,
  );

export const stat = (open: OpenContext) =>
  command(
    {
      command: 'stat <path>',
      describe: 'All that is known of a path: attributes, hash, and where its copies are',
      builder: (yargs) => yargs.positional('path', PATH).option('at', AT).option('host', HOST),
      run: async ({ app, output }, args) => {
        const path = pathArgument(args.path, workingDirectory());
        const hostName = args.host ?? app.host.name;
        const found = statPath(
          await app.catalog('read'),
          { hostName, path, at: args.at },
          policiesOf(await app.config()),
        );
        const { entry, snapshot, hash, versions, goodCopies, pools, extents } = found;
        const document = {
          ...documentPath(path),
          host: hostName,
          snapshot: nameOf(snapshot),
          ...documentEntry(entry.inode),
          links: entry.inode.sourceInode.links,
          xattrs: entry.inode.xattrs.map(({ name, value }) => ({
            name: rawText(name),
            valueBase64: value.toString('base64'),
          })),
          hash: hash ?? null,
          versions,
          goodCopies: goodCopies ?? null,
          pools,
          extents,
        };
        output.result(document, () => `${rawText(path)}\n${formatDetails(found)}`);
      },
    },
    open,
  );

export const versions = (open: OpenContext) =>
  command(
    {
      command: 'versions <path>',
      describe: 'Every version of a path, also of one that is deleted',
      builder: (yargs) => yargs.positional('path', PATH).option('host', HOST),
      run: async ({ app, output }, args) => {
        const path = pathArgument(args.path, workingDirectory());
        const hostName = args.host ?? app.host.name;
        const found = versionsOf(await app.catalog('read'), { hostName, path });
        const document = {
          ...documentPath(path),
          host: hostName,
          versions: found.map(({ entry, since, until, hash }) => ({
            since: nameOf(since),
            until: until === undefined ? null : nameOf(until),
            ...documentEntry(entry.inode),
            hash: hash ?? null,
          })),
        };
        output.result(document, () => formatVersions(found));
      },
    },
    open,
  );

function formatVersions(found: readonly Version[]): string {
  const rows = found.map(({ entry: { inode }, since, until, hash }) => [
    nameOf(since),
    until === undefined ? '' : nameOf(until),
    formatMode(inode.type, inode.mode),
    inode.type === 'file' ? formatSize(inode.sizeBytes) : '',
    formatTime(inode.mtime.seconds * 1000),
    hash?.slice(0, 16) ?? '',
  ]);
  return formatTable(['SINCE', 'UNTIL', 'MODE', 'SIZE', 'CHANGED', 'HASH'], rows);
}

/** What a pool asks for, where that is more than one copy, or it has less. */
function policyFacts(of: PoolCopiesOf): [string, string][] {
  const { pool, copies, copiesWanted, offsite, offsiteWanted } = of;
  const isBelow = copies < copiesWanted || offsite < offsiteWanted;
  if (copiesWanted <= 1 && offsiteWanted === 0 && !isBelow) return [];
  const away = offsiteWanted > 0 ? `, ${offsite} of ${offsiteWanted} off site` : '';
  const below = isBelow ? ': below its policy' : '';
  return [[`pool ${printable(pool)}`, `${copies} of ${copiesWanted} copies${away}${below}`]];
}

function formatDetails({
  entry: { inode },
  snapshot,
  hash,
  versions: count,
  goodCopies,
  pools,
  extents,
}: Details): string {
  const facts: [string, string | undefined][] = [
    ['type', inode.type],
    [
      'size',
      inode.type === 'file' ? `${formatSize(inode.sizeBytes)} (${inode.sizeBytes})` : undefined,
    ],
    ['mode', formatMode(inode.type, inode.mode)],
    ['owner', formatOwner(inode)],
    ['changed', formatTime(inode.mtime.seconds * 1000)],
    ['target', inode.target && rawText(inode.target)],
    ['attributes', formatXattrs(inode) || undefined],
    ['links', inode.sourceInode.links > 1 ? String(inode.sourceInode.links) : undefined],
    ['BLAKE3', hash],
    ['snapshot', nameOf(snapshot)],
    ['versions', String(count)],
    ['good copies', goodCopies === undefined ? undefined : String(goodCopies)],
    ...pools.flatMap(policyFacts),
  ];
  const rows = facts.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]));
  const parts = [formatTable(['', ''], rows).trimStart()];
  const copies = extents.flatMap(({ extent, copies: places }) =>
    places.map(({ barcode, fileNumber, startBlock, isGood, location }) => [
      barcode,
      `${fileNumber}:${startBlock}`,
      formatSize(extent.lengthBytes),
      isGood ? 'good' : 'not to be used',
      printable(location ?? ''),
    ]),
  );
  if (copies.length > 0)
    parts.push(formatTable(['MEDIUM', 'FILE:BLOCK', 'BYTES', 'STATE', 'LOCATION'], copies));
  return parts.join('\n\n');
}
