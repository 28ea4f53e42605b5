/** What a job was asked for and what it reported, as a person reads it; --json has all of it. */
import { formatSize } from '../base/bytes.ts';
import { printable } from '../base/text.ts';
import { countOf } from './format.ts';

/** Shown with the job itself. */
const SHOWN: ReadonlySet<string> = new Set(['job', 'snapshot', 'state']);

/** A line each; what is empty, nought or not there is left out. */
export function jobFacts(report: object): [string, string][] {
  return Object.entries(report).flatMap(([name, value]: [string, unknown]): [string, string][] => {
    const text = SHOWN.has(name) ? '' : wordsOf(name, value);
    return text === '' ? [] : [[titleOf(name), text]];
  });
}

/** In one line. */
export function requestWords(parameters: object): string {
  return jobFacts(parameters)
    .map(([name, text]) => `${name} ${text}`)
    .join('; ');
}

function wordsOf(name: string, value: unknown): string {
  if (typeof value === 'number') return value === 0 ? '' : numberWords(name, value);
  if (typeof value === 'boolean') return value ? 'yes' : '';
  if (typeof value === 'string') return printable(value);
  if (Array.isArray(value)) {
    if (value.length === 0) return '';
    const isPlain = value.every((item) => typeof item === 'string' || typeof item === 'number');
    return isPlain ? value.map((item) => printable(String(item))).join(', ') : many(value.length);
  }
  if (typeof value !== 'object' || value === null) return '';
  return Object.entries(value)
    .flatMap(([part, inner]: [string, unknown]) => {
      // The unit is that of the whole: bytes of what was scanned.
      const text = wordsOf(/bytes/i.test(name) ? `${part}Bytes` : part, inner);
      return text === '' ? [] : [`${text} ${titleOf(part)}`];
    })
    .join(', ');
}

const many = (count: number) => `${countOf(count, 'item')}; --json lists them`;

function numberWords(name: string, value: number): string {
  if (/bytes$/i.test(name)) return formatSize(value);
  if (/seconds$/i.test(name)) return `${value.toFixed(1)} s`;
  return value.toLocaleString('en-US', { maximumFractionDigits: 2 });
}

/** `cpuSeconds`: `cpu` */
function titleOf(name: string): string {
  return (name.replace(/(?<=.)(Bytes|Seconds)$/, '') || name)
    .replaceAll(/(?<=[a-z])[A-Z]/g, (letter) => ` ${letter}`)
    .toLowerCase();
}
