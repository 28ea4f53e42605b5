/** Streams of archives as they lie on virtual cartridges, and what stands in them. */
import { zstdDecompressSync } from 'node:zlib';
import Database from 'better-sqlite3';
import { onTestFinished } from 'vitest';
import { findDigest } from '../../src/archive/digest.ts';
import type { JournalEntry, JournalLine } from '../../src/archive/journal.ts';
import { journalLines, parseJournal } from '../../src/archive/journal-parse.ts';
import { readMembers } from '../../src/archive/reader.ts';
import { TapImage } from './check-archives.ts';

/** Of each tape file behind the label, in order. */
export function streamsOn(libraryDirectory: string, barcode: string): Buffer[] {
  const image = TapImage.read(libraryDirectory, barcode);
  const streams: Buffer[] = [];
  let blocks: Buffer[] = [];
  for (let block = 0; block < image.lengthBlocks; block += 1) {
    const bytes = image.block(block);
    if (bytes.length > 0) blocks.push(bytes);
    else {
      streams.push(Buffer.concat(blocks));
      blocks = [];
    }
  }
  return streams.slice(1);
}

/** Lines of a whole archive's journal. */
export async function journalOf(stream: Buffer): Promise<JournalLine[]> {
  const digest = findDigest(stream, stream.length);
  if (!digest) throw new Error('no digest');
  const { offset, lengthBytes } = digest.journal;
  const lines = journalLines([stream.subarray(offset, offset + lengthBytes)]);
  return collect(parseJournal(lines));
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

export function entriesOf(lines: readonly JournalLine[]): JournalEntry[] {
  return lines.filter((line) => line.kind === 'entry');
}

/** Data of the archive's own members, by the last part of their names. */
export async function ownMembers(stream: Buffer): Promise<Map<string, Buffer>> {
  let at = 0;
  const found = new Map<string, Buffer>();
  const read = async (lengthBytes: number) => {
    at += lengthBytes;
    return stream.subarray(at - lengthBytes, at);
  };
  for await (const { path, data } of readMembers({ read })) {
    if (!path.startsWith('.shelfs/archives/')) continue;
    found.set(path.slice(path.lastIndexOf('/') + 1), Buffer.concat(await collect(data())));
  }
  return found;
}

/** The copy of the catalog in an archive, opened; undefined where it has none. */
export async function catalogIn(stream: Buffer): Promise<Database.Database | undefined> {
  const copy = (await ownMembers(stream)).get('catalog.sqlite.zst');
  if (!copy) return undefined;
  const db = new Database(zstdDecompressSync(copy));
  onTestFinished(() => {
    db.close();
  });
  return db;
}
