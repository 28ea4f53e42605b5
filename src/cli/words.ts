/** A command as a person types it, into its words: quotes and backslashes, and nothing else that a shell would do. */
import { CodedError } from '../base/errors.ts';
import { printable } from '../base/text.ts';

/**
 * `snap --name "a b"` and `["snap", "--name", "a b"]` are the same. No variables, globs, pipes or substitutions: such
 * characters stay what they are.
 * @throws CodedError USAGE where a quote is not closed or there is no word
 */
export function commandWords(text: string): string[] {
  const words = jsonWords(text) ?? shellWords(text);
  const [program] = words;
  if (program) return words;
  throw usage(text, 'names no program');
}

/** Undefined where it is no JSON list of strings: a program may be called `[`. */
function jsonWords(text: string): string[] | undefined {
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  if (!Array.isArray(list)) return undefined;
  return list.every((word) => typeof word === 'string' && !word.includes('\0')) ? list : undefined;
}

const PART =
  /(?<blank>\s+)|'(?<single>[^']*)'|"(?<double>(?:[^"\\]|\\.)*)"|\\(?<escaped>.)|(?<plain>[^\s'"\\]+)/sy;

function shellWords(text: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  const part = new RegExp(PART);
  while (part.lastIndex < text.length) {
    const found = part.exec(text)?.groups;
    if (!found) throw usage(text, 'ends within a quote or with a backslash');
    if (found.blank !== undefined) {
      if (word !== undefined) words.push(word);
      word = undefined;
      continue;
    }
    const { single, double, escaped, plain } = found;
    // Within double quotes a backslash quotes only what would mean something there, as in sh(1).
    const inDouble = double?.replace(/\\(["\\$`])/g, '$1');
    word = (word ?? '') + (single ?? inDouble ?? escaped ?? plain ?? '');
  }
  return word === undefined ? words : [...words, word];
}

function usage(text: string, what: string): CodedError {
  return new CodedError('USAGE', `"${printable(text)}" ${what}`);
}
