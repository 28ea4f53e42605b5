/** What one round of a restore reads: a copy for each content that is wanted, recorded in tape order. */
import { strict as assert } from 'node:assert';
import { setImmediate as turn } from 'node:timers/promises';
import { rawText } from '../../base/raw.ts';
import type { ExtentCopy, Wanted, WantedContent } from '../../catalog/restore/wanted.ts';
import { CopyChooser, type MediaAtHand } from '../../recall/copies.ts';

/** What is read from one medium. */
export type MediumShare = {
  readonly mediumId: number;
  readonly barcode: string;
  /** Contents, of which some parts may lie on other media. */
  readonly contents: number;
  /** As they are stored. */
  readonly bytes: number;
  readonly archives: ReadonlySet<number>;
};

export type Round = {
  /** In the order in which they are to be loaded. */
  readonly media: readonly MediumShare[];
  /** Names that want something, those without a copy among them. */
  readonly names: number;
  /** Of all contents that have copies, each once. */
  readonly bytes: number;
  /** Names without a good copy: how many, and the first of them, printable. */
  readonly lostNames: number;
  readonly lost: readonly string[];
};

/** Names told one by one; of more than these nobody reads a list. */
export const NAMES_TOLD_MAX = 10_000;
const CONTENTS_A_TURN = 1024;

type Share = MediumShare & { contents: number; bytes: number; readonly archives: Set<number> };

/** Replaces what an earlier round has chosen. @throws the signal's reason when aborted */
export async function chooseRound(
  wanted: Wanted,
  media: MediaAtHand & { readonly preferred: readonly number[] },
  signal: AbortSignal,
): Promise<Round> {
  const chooser = new CopyChooser(media, media.preferred);
  const shares = new Map<number, Share>();
  const lost: string[] = [];
  let [contents, names, bytes, lostNames] = [0, 0, 0, 0];
  wanted.clearChosen();
  for (const content of wanted.contents()) {
    contents += 1;
    if (contents % CONTENTS_A_TURN === 0) {
      await turn();
      signal.throwIfAborted();
    }
    names += content.names;
    const path = chooser.choose(content);
    if (path) {
      bytes += content.sizeBytes;
      record(wanted, content, path);
      share(shares, path);
      continue;
    }
    lostNames += content.names;
    for (const { entry } of wanted.namesOf(content.contentId)) {
      if (lost.length === NAMES_TOLD_MAX) break;
      lost.push(rawText(entry.path));
    }
  }
  wanted.endChoosing();
  assert(names === wanted.size, 'every name that is wanted has its row');
  const order = (a: Share, b: Share) => (a.barcode < b.barcode ? -1 : 1);
  return { media: [...shares.values()].toSorted(order), names, bytes, lostNames, lost };
}

function record(wanted: Wanted, content: WantedContent, path: readonly ExtentCopy[]): void {
  const { contentId, names } = content;
  for (const { archiveId, mediumId, startBlock, extent } of path) {
    const parts = path.length;
    wanted.choose({ contentId, archiveId, mediumId, startBlock, extent, parts }, names);
  }
}

function share(shares: Map<number, Share>, path: readonly ExtentCopy[]): void {
  const counted = new Set<number>();
  for (const { mediumId, barcode, archiveId, extent } of path) {
    let one = shares.get(mediumId);
    if (!one) {
      one = { mediumId, barcode, contents: 0, bytes: 0, archives: new Set() };
      shares.set(mediumId, one);
    }
    if (!counted.has(mediumId)) one.contents += 1;
    counted.add(mediumId);
    one.bytes += extent.storedBytes;
    one.archives.add(archiveId);
  }
}
