/**
 * Which archives lie whole on which cartridge, whatever its sticker, its label or the catalog say: each tape file is hashed and
 * compared with the digest at its own end.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Blake3Hasher } from '@napi-rs/blake-hash';
import { findDigest } from '../../src/archive/digest.ts';
import type { Catalog } from '../../src/catalog/catalog.ts';
import { heldSql } from '../../src/catalog/tree/held.ts';
import { TapImage } from './check-archives.ts';

/** The bytes of every cartridge, by the name of its files. */
export type Shelf = ReadonlyMap<string, Buffer>;

export function shelfOf(directory: string): Shelf {
  return new Map(
    readdirSync(directory)
      .filter((name) => name.endsWith('.tap'))
      .map((name) => [name.slice(0, -'.tap'.length), readFileSync(join(directory, name))]),
  );
}

/** Cartridges whose blocks are not all there still: something was written before the end of their data. */
export function overwritten(before: Shelf, after: Shelf): string[] {
  return [...before].flatMap(([name, bytes]) => {
    const image = new TapImage(bytes);
    const whole = image.before(image.lengthBlocks);
    const now = after.get(name) ?? Buffer.alloc(0);
    return now.subarray(0, whole.length).equals(whole) ? [] : [name];
  });
}

/** UUIDs of archives that lie whole somewhere. */
export function archivesIn(shelf: Shelf): ReadonlySet<string> {
  return new Set([...shelf.values()].flatMap(archivesOn));
}

/** UUIDs of those on one cartridge. */
export function archivesOn(bytes: Buffer): string[] {
  const image = new TapImage(bytes);
  const found: string[] = [];
  let blocks: Buffer[] = [];
  for (let block = 0; block < image.lengthBlocks; block += 1) {
    const data = image.block(block);
    if (data.length > 0) {
      blocks.push(data);
      continue;
    }
    const stream = Buffer.concat(blocks);
    blocks = [];
    const digest = findDigest(stream, stream.length);
    if (!digest) continue;
    const hashed = new Blake3Hasher().update(stream.subarray(0, digest.lengthBytes));
    if (hashed.digestBuffer().equals(digest.blake3)) found.push(digest.uuid);
  }
  return found;
}

/** An archive that holds a content in one piece, and a medium where the catalog counts it; undefined: it does not. */
export type CountedCopy = { readonly uuid: string; readonly countedOn: string | undefined };

/** A content that snapshots show. */
export type LiveContent = { readonly hash: string; readonly copies: readonly CountedCopy[] };

export function liveContents(catalog: Catalog): LiveContent[] {
  const rows = catalog
    .prepare<[string, string, string | null]>(
      `SELECT DISTINCT hex(c.hash), a.uuid, iif(a.state = 'good' AND k.state = 'good'
           AND m.state NOT IN ('suspect', 'retired', 'lost'), m.barcode, NULL)
       FROM versions v CROSS JOIN inodes i ON i.id = v.inode CROSS JOIN contents c ON c.id = i.content
         CROSS JOIN extents e ON e.content = c.id CROSS JOIN archives a ON a.id = e.archive
         LEFT JOIN archive_copies k ON k.archive = a.id LEFT JOIN media m ON m.id = k.medium
       WHERE c.size > 0 AND e.length IS NULL AND e.content_offset = 0 AND ${heldSql('v')}`,
    )
    .all();
  return [...Map.groupBy(rows, ([hash]) => hash)].map(([hash, found]) => ({
    hash,
    copies: found.map(([, uuid, barcode]) => ({ uuid, countedOn: barcode ?? undefined })),
  }));
}
