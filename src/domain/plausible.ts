/**
 * Whether a file's bytes can be what its name says. Encrypted ones cannot: all bytes come equally often, and no format's first bytes
 * stand before them. Compressed formats are as dense, but known by their head. A few thousand files of a run are looked at, 1 KiB
 * of each.
 */
import type { Raw } from '../base/raw.ts';

/** Of a file's beginning; fewer than DENSE_BYTES_MIN say nothing. */
export const SAMPLE_BYTES = 1024;
export const DENSE_BYTES_MIN = 256;

/** Names of text: it never has all byte values. */
const TEXT =
  'txt md rst tex csv tsv json jsonl xml html htm css js mjs ts tsx jsx c h cc cpp hpp cs java kt go rs py rb pl php sh bash sql yaml yml toml ini conf cfg log eml mbox vcf ics srt svg tf lua r m swift scala gradle properties po diff patch asm s bib adoc org';
/** Names of formats that begin with bytes of their own. */
const MARKED =
  'jpg jpeg jpe png gif webp tif tiff bmp heic heif avif psd cr2 cr3 nef arw dng raf orf rw2 mp4 m4v mov avi mkv webm mpg mpeg wmv mp3 m4a flac ogg opus wav aac pdf ps eps doc docx xls xlsx ppt pptx odt ods odp epub mobi rtf zip gz tgz bz2 xz zst 7z rar jar war apk iso sqlite db dwg indd ai ttf otf woff woff2 exe dll so class pyc deb rpm';
/** What is packed or kept under these has a form of its own, whatever the name before says. */
const OTHER =
  'bak old orig tmp part swp gpg pgp asc age enc kdbx lz4 lzma lz z br sz torrent crdownload';

const sets = {
  text: new Set(TEXT.split(' ')),
  marked: new Set(MARKED.split(' ')),
  other: new Set(OTHER.split(' ')),
};

/** First bytes of formats, in hexadecimal; `..` stands for any. */
const HEADS = (
  'ffd8ff 89504e47 47494638 52494646 49492a00 4d4d002a 424d 38425053 46554a49 4949524f 49495500 ........66747970 1a45dfa3 000001ba ' +
  '000001b3 3026b275 494433 fffb fff3 fff2 fff1 fff9 664c6143 4f676753 25504446 2521 d0cf11e0 504b0304 504b0506 504b0708 7b5c7274 ' +
  '1f8b 1f9d 425a68 fd377a58 28b52ffd 377abcaf 52617221 7801 785e 789c 78da 04224d18 53514c69 41433130 06060000 00010000 4f54544f ' +
  '774f4646 774f4632 4d5a 7f454c46 cafebabe 213c6172 edabeedb 0606edf5 ........6d6f6f76 ........77696465 ........6d646174 03d9a29a ' +
  '2d2d2d2d2d424547 6167652d656e63 efbbbf 424f4f4b 4349534f 2e736e64 2e524d46 464c5601 0d0a1a0a 0000000c6a5020 ff4fff51'
)
  .split(' ')
  .map((text) => text.match(/../g)?.map((byte) => (byte === '..' ? -1 : Number.parseInt(byte, 16))))
  .filter((head) => head !== undefined);

export type Expectation = 'text' | 'marked';

/** What the name lets expect; a suffix that nobody knows is looked behind: `photo.jpg.locked`. Undefined: anything. */
export function expectationOf(name: Raw): Expectation | undefined {
  const [last, before] = name.toLowerCase().split('.').slice(1).reverse();
  for (const suffix of [last, before]) {
    if (suffix === undefined || sets.other.has(suffix)) return undefined;
    if (sets.text.has(suffix)) return 'text';
    if (sets.marked.has(suffix)) return 'marked';
  }
  return undefined;
}

/** Whether the suffix is one that programs give: a file that gets it was converted, packed or put aside. */
export function isOrdinarySuffix(suffix: string): boolean {
  const word = suffix.toLowerCase();
  const isKnown = Object.values(sets).some((set) => set.has(word));
  return isKnown || /^\d+$/.test(word) || word.endsWith('~');
}

/**
 * 256 x the sum of squares of counts, less the length: chi-square of equally frequent bytes. Random ones give 255 with a standard
 * deviation of 23 at any length; base64 of 256 bytes 768, text of as many above 2000.
 */
const CHI_SQUARE_MAX = 255 + 6 * 23;

/** Whether bytes of a file's beginning contradict what its name lets expect. False where they are too few. */
export function contradicts(bytes: Uint8Array, expected: Expectation): boolean {
  const length = Math.min(bytes.length, SAMPLE_BYTES);
  if (length < DENSE_BYTES_MIN) return false;
  if (expected === 'marked' && hasKnownHead(bytes)) return false;
  const counts = new Uint16Array(256);
  for (let at = 0; at < length; at += 1) {
    const byte = bytes[at] ?? 0;
    counts[byte] = (counts[byte] ?? 0) + 1;
  }
  let squares = 0;
  for (const count of counts) squares += count * count;
  return (squares * 256) / length - length < CHI_SQUARE_MAX;
}

function hasKnownHead(bytes: Uint8Array): boolean {
  return HEADS.some((head) => head.every((byte, at) => byte < 0 || bytes[at] === byte));
}
