/**
 * The index beside a `.tap` file: what is confirmed, in lines that are only ever added.
 *
 * `OFFSET COUNTxLENGTH ... CHECK` says which runs of records follow at an offset of the data; `cut BLOCK CHECK` ends the
 * tape there. CHECK is the CRC-32 of the text before it. One confirmation is one line, so a power cut tears the last line
 * and no other: it lacks its end, or bytes in it are still zero. Every other fault is damage, and never repaired here.
 */
import { strict as assert } from 'node:assert';
import { crc32 } from 'node:zlib';
import type { BlockMap, Run } from './block-map.ts';

/** SIMH keeps the upper byte of a length for a class: records are below 16 MiB. */
export const RECORD_BYTES_MAX = 0x00ffffff;

export function runsLine(runs: readonly Run[]): string {
  const [first] = runs;
  assert(first, 'a line confirms something');
  const counts = runs.map((run) => `${run.count}x${run.lengthBytes}`);
  return sealLine(`${first.offset} ${counts.join(' ')}`);
}

export function cutLine(block: number): string {
  return sealLine(`cut ${block}`);
}

export function sealLine(text: string): string {
  return `${text} ${checkOf(text)}\n`;
}

/** Reads an index into `map`; returns how many bytes of it hold. Undefined: it is damaged, not merely torn at its end. */
export function readIndex(index: string, map: BlockMap): number | undefined {
  let bytes = 0;
  let isTorn = false;
  for (const line of index.split(/(?<=\n)/)) {
    if (line.length === 0) continue;
    const text = openLine(line);
    if (text === undefined) {
      if (line.endsWith('\n') && !line.includes('\0')) return undefined;
      isTorn = true;
    } else {
      if (isTorn || !apply(text, map)) return undefined;
      bytes += line.length;
    }
  }
  return bytes;
}

function openLine(line: string): string | undefined {
  const [, text, check] = /^(.*) ([0-9a-f]{8})\n$/.exec(line) ?? [];
  return text !== undefined && checkOf(text) === check ? text : undefined;
}

/** False where the line does not follow from those before. */
function apply(text: string, map: BlockMap): boolean {
  const [, block] = /^cut (\d+)$/.exec(text) ?? [];
  if (block !== undefined) {
    if (Number(block) >= map.end.block) return false;
    map.truncate(Number(block));
    return true;
  }
  const [, offset, runs] = /^(\d+)((?: \d+x\d+)+)$/.exec(text) ?? [];
  if (runs === undefined || Number(offset) !== map.end.offset) return false;
  for (const run of runs.trim().split(' ')) {
    const [count = 0, lengthBytes = 0] = run.split('x').map(Number);
    if (!Number.isSafeInteger(count) || count === 0 || lengthBytes > RECORD_BYTES_MAX) return false;
    map.append(lengthBytes, count);
    if (!Number.isSafeInteger(map.end.offset)) return false;
  }
  return true;
}

function checkOf(text: string): string {
  return crc32(text).toString(16).padStart(8, '0');
}
