/**
 * One copy of an archive, read back: right, or what of it is wrong.
 *
 * The stream is read once at the drive's speed. Only where it is not what was written it is read again: content by content,
 * so that the damaged files are known, and from header to header for the rest.
 */
import { CodedError } from '../../base/errors.ts';
import type { DamagedRange } from '../../catalog/care/damages.ts';
import type { CopyToRead, ExtentToRead } from '../../catalog/care/read-back.ts';
import type { Contents } from '../../catalog/content/contents.ts';
import type { ReadableTape } from '../../storage/tape-reader.ts';
import { type Between, lookBetween } from './between.ts';
import { isWholeHere, joined, type Proofs, proveContents, touchesAny } from './contents.ts';
import type { Finding } from './report.ts';
import type { StreamRead, StreamReader } from './stream.ts';

export type Verdict = {
  /** `unreadable`: as a whole and in every part. */
  readonly state: 'right' | 'damaged' | 'unreadable';
  /** Of the archive's stream, whatever lies there. One of no length: somewhere between the files. */
  readonly ranges: readonly DamagedRange[];
  /** Parts of files that only cartridges elsewhere could prove: what was known of them stays. */
  readonly undecided: readonly DamagedRange[];
  readonly findings: readonly Finding[];
};

export type CheckTools = {
  readonly tape: ReadableTape;
  readonly reader: StreamReader;
  readonly contents: Pick<Contents, 'extentsOf'>;
  extentsOf(archiveId: number): Iterable<ExtentToRead>;
};

/** @throws CodedError the drive's failures */
export async function checkCopy(
  copy: CopyToRead,
  tools: CheckTools,
  signal: AbortSignal,
): Promise<Verdict> {
  const read = await tools.reader.read(copy, signal);
  const findings = placeFindings(copy, read, tools.tape);
  if (read.retried > 0)
    findings.push(transient(`${read.retried} of its blocks came at the second attempt only`));
  if (read.isRight) return { state: 'right', ranges: [], undecided: [], findings };
  const missing = read.holes.reduce((sum, { count }) => sum + count, 0);
  if (missing > 0 && missing >= (copy.lengthBlocks ?? read.blocks)) {
    findings.push({
      kind: 'unreadable',
      sentence: `nothing of it can be read: ${read.failure ?? 'the data of the tape end before'}`,
    });
    return { state: 'unreadable', ranges: [], undecided: [], findings };
  }
  return new Examination({ copy, read, tools, signal }).run(findings);
}

type ExaminationOrder = {
  readonly copy: CopyToRead;
  readonly read: StreamRead;
  readonly tools: CheckTools;
  readonly signal: AbortSignal;
};

class Examination {
  readonly #order: ExaminationOrder;
  readonly #holes: readonly DamagedRange[];

  constructor(order: ExaminationOrder) {
    this.#order = order;
    const { blockBytes } = order.tools.tape;
    this.#holes = order.read.holes.map(({ index, count }) => ({
      position: index * blockBytes,
      lengthBytes: count * blockBytes,
    }));
  }

  async run(before: readonly Finding[]): Promise<Verdict> {
    const { read } = this.#order;
    const proofs = await this.#proofs();
    const between = await this.#between();
    if (between?.isRight && isEndRight(read)) {
      const finding = transient('it read wrong once, and right when it was read again');
      return { state: 'right', ranges: [], undecided: [], findings: [...before, finding] };
    }
    const outside = between?.found ?? [];
    const ends = endFindings(read);
    const isExplained = proofs.wrong.length + outside.length + ends.length + this.#holes.length > 0;
    const parts = await this.#unproven(proofs, isExplained);
    const wrong = [...proofs.wrong, ...parts.wrong];
    const findings = [...before, ...this.#holeFindings(), ...ends];
    for (const { kind, position } of outside)
      findings.push({ kind, sentence: OUTSIDE[kind], blocks: this.#blockAt(position) });
    if (wrong.length > 0) findings.push(this.#filesFinding(wrong));
    const isNowhere = !isExplained && wrong.length === 0;
    if (isNowhere) findings.push({ kind: 'between', sentence: BETWEEN });
    const nowhere = isNowhere ? [{ position: 0, lengthBytes: 0 }] : [];
    const ranges = joined([
      ...wrong,
      ...this.#holes,
      ...outside,
      ...this.#tailRange(ends),
      ...nowhere,
    ]);
    return { state: 'damaged', ranges, undecided: parts.undecided, findings };
  }

  #proofs(): Promise<Proofs> {
    const { copy, tools, signal } = this.#order;
    const extents = tools.extentsOf(copy.archiveId);
    return proveContents(tools.tape, { copy, extents, holes: this.#holes }, signal);
  }

  /** Undefined where blocks are missing: then there is no stream to go through. */
  async #between(): Promise<Between | undefined> {
    const { copy, read, tools, signal } = this.#order;
    if (!read.tail || this.#holes.length > 0) return undefined;
    const extents = tools.extentsOf(copy.archiveId);
    const { hashedBytes, blake3, journal } = read.tail;
    const order = { copy, extents, hashedBytes, blake3, journal };
    try {
      return await lookBetween(tools.tape, order, signal);
    } catch (error) {
      // It could be read a moment ago: what the contents have shown counts.
      if (error instanceof CodedError && error.code === 'MEDIUM_UNREADABLE') return undefined;
      throw error;
    }
  }

  /** Parts that nothing here proves are proven with the others, where all are on this cartridge. */
  async #unproven(
    { unproven }: Proofs,
    isExplained: boolean,
  ): Promise<{ wrong: DamagedRange[]; undecided: DamagedRange[] }> {
    const { copy, tools, signal } = this.#order;
    const [wrong, undecided]: [DamagedRange[], DamagedRange[]] = [[], []];
    const known = new Map<number, boolean | undefined>();
    for (const { read, range } of unproven) {
      const { contentId, hash, sizeBytes } = read;
      if (!known.has(contentId) && hash) {
        const extents = tools.contents.extentsOf(contentId);
        const { mediumId, archiveId } = copy;
        const content = { mediumId, archiveId, hash, sizeBytes, extents };
        known.set(contentId, await isWholeHere(tools.tape, content, signal));
      }
      const isWhole = known.get(contentId);
      if (isWhole === false || (isWhole === undefined && !isExplained)) wrong.push(range);
      else if (isWhole === undefined) undecided.push(range);
    }
    return { wrong, undecided };
  }

  #holeFindings(): Finding[] {
    const { copy, read } = this.#order;
    return read.holes.map(({ index, count }) => {
      const first = copy.startBlock + index;
      const which = count === 1 ? `block ${first}` : `blocks ${first} to ${first + count - 1}`;
      const why = read.failure ?? 'the tape file ends before';
      const sentence = `${which} cannot be read: ${why}`;
      return { kind: 'unreadable', sentence, blocks: { first, count } };
    });
  }

  #filesFinding(wrong: readonly DamagedRange[]): Finding {
    const isOfHoles = wrong.every((range) => touchesAny(range, this.#holes));
    const count = wrong.length;
    const pieces = count === 1 ? '1 piece of a file' : `${count} pieces of files`;
    const sentence = isOfHoles
      ? `${pieces} cannot be read`
      : `${pieces} read otherwise than was written`;
    return { kind: 'files', sentence, blocks: this.#blockAt(wrong[0]?.position ?? 0) };
  }

  #blockAt(position: number) {
    const { copy, tools } = this.#order;
    const first = copy.startBlock + Math.floor(position / tools.tape.blockBytes);
    return { first, count: 1 };
  }

  #tailRange(ends: readonly Finding[]): DamagedRange[] {
    const { read, tools } = this.#order;
    if (ends.length === 0 || !read.tail) return [];
    const { hashedBytes } = read.tail;
    return [
      { position: hashedBytes, lengthBytes: read.blocks * tools.tape.blockBytes - hashedBytes },
    ];
  }
}

const BETWEEN =
  'something between its files is not what was written: a header, a copy of the catalog, or its journal; no file is lost by it, but tar may complain';

const OUTSIDE: Readonly<Record<Between['found'][number]['kind'], string>> = {
  header: 'a header is not what was written; no file is lost by it, but tar may complain',
  padding: 'zeros behind a file are not what was written; nothing is lost by it',
  opening: 'its opening is not what was written; no file is lost by it',
  journal: 'a line of its journal is not what was written; the catalog has it too',
  stale: 'bytes that nothing needs any more are not what was written',
};

function isEndRight({ end, tail }: StreamRead): boolean {
  return end === 'filemark' && tail !== undefined && tail.isDigestRight && tail.areZerosRight;
}

function endFindings({ tail }: StreamRead): Finding[] {
  const findings: Finding[] = [];
  if (tail && !tail.isDigestRight)
    findings.push({
      kind: 'digest',
      sentence:
        'its digest is not what was written; the catalog has it too, and no file is lost by it',
    });
  if (tail && !tail.areZerosRight)
    findings.push({ kind: 'padding', sentence: 'the zeros at its end are not what was written' });
  return findings;
}

function placeFindings(copy: CopyToRead, read: StreamRead, tape: ReadableTape): Finding[] {
  const place = (sentence: string): Finding => ({ kind: 'place', sentence });
  const { end, blocks } = read;
  const { lengthBlocks = blocks, fileNumber } = copy;
  if (end === 'goes-on') return [place('there is no filemark where it should end')];
  if (end === 'lost')
    return [place(`the drive does not get behind block ${copy.startBlock + blocks}`)];
  if (blocks < lengthBlocks) return [place(`it ends after ${blocks} blocks of ${lengthBlocks}`)];
  if (end === 'end-of-data') return [place('the data of the tape end with it, without a filemark')];
  const { position } = tape.drive;
  if (!position.proven || position.file === fileNumber + 1) return [];
  return [place(`it is tape file ${position.file - 1}, not ${fileNumber}`)];
}

function transient(sentence: string): Finding {
  return { kind: 'transient', sentence: `${sentence}: clean the drive` };
}
