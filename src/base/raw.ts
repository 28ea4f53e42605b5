/**
 * Names are bytes: any but NUL survives, valid UTF-8 or not.
 *
 * In memory such bytes are a string with one character (U+0000 to U+00FF) a byte, as `latin1` decodes them: it compares
 * in byte order, is a Map key, and takes one byte of memory a byte. Never print one: `rawText` is for people.
 */
import { printable } from './text.ts';

/** A file name, path, link target, user name or attribute name as bytes, one character a byte. */
export type Raw = string & { readonly __brand: 'Raw' };

export function toRaw(bytes: Uint8Array): Raw {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1') as Raw;
}

export function rawBytes(raw: Raw): Buffer {
  return Buffer.from(raw, 'latin1');
}

/** What a person typed or a config says, as the bytes of its UTF-8. */
export function rawOf(text: string): Raw {
  return toRaw(Buffer.from(text, 'utf8'));
}

/** For people: read as UTF-8, bytes that are none as `\xNN`, controls made printable. */
export function rawText(raw: Raw): string {
  if (isAscii(raw)) return printable(raw);
  const bytes = rawBytes(raw);
  const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  try {
    return printable(strict.decode(bytes));
  } catch {
    return printableByBytes(bytes);
  }
}

/** What the file system functions of Node take for these bytes: the string itself where it means the same. */
export function rawPath(raw: Raw): string | Buffer {
  return isAscii(raw) ? raw : rawBytes(raw);
}

/** `/` between; the parent `/` adds none. */
export function joinRaw(parent: Raw, name: Raw): Raw {
  return (parent.endsWith('/') ? parent + name : `${parent}/${name}`) as Raw;
}

function isAscii(text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the ASCII range begins there
  return /^[\x00-\x7f]*$/.test(text);
}

/** Valid sequences stay letters, single wrong bytes become `\xNN`. */
function printableByBytes(bytes: Buffer): string {
  const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  let text = '';
  for (let at = 0; at < bytes.length; ) {
    const lengthBytes = [1, 2, 3, 4].find((candidate) => {
      try {
        return strict.decode(bytes.subarray(at, at + candidate)).length > 0;
      } catch {
        return false;
      }
    });
    if (lengthBytes === undefined)
      text += `\\x${bytes.readUInt8(at).toString(16).padStart(2, '0')}`;
    else text += printable(bytes.toString('utf8', at, at + lengthBytes));
    at += lengthBytes ?? 1;
  }
  return text;
}
