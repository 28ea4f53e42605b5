/**
 * What a catalog knows besides its journals, as text: sources, rules, pools, media, jobs, snapshots, and where archives lie.
 *
 * It stands beside each copy of the catalog on a medium, for whoever has no SQLite. Paths, versions and contents are not in
 * it: the journals tell of them, line by line. The form is theirs too (archive/FORMAT.md section 3.4): lines of fields
 * joined by a TAB, escapes as `printf %b` reads them.
 */
import { toRaw } from '../../base/raw.ts';

/** Rows of a statement, one by one; values as SQLite gives them. */
export type Select = (sql: string) => Iterable<readonly unknown[]>;

/** Tables that are told whole, and those of their columns that hold names as one character a byte (SCHEMA.md section 2). */
export const TOLD: Readonly<Record<string, readonly string[]>> = {
  hosts: [],
  sources: ['path', 'original'],
  rules: ['value'],
  pools: [],
  locations: [],
  media: [],
  media_moves: [],
  drives: [],
  jobs: [],
  snapshots: ['cursor_name'],
  archives: [],
  archive_copies: [],
  damages: [],
  catalog_copies: [],
  snapshot_tags: [],
  expiries: [],
  told_runs: [],
  alarms: [],
};

/** Columns of them that are left out: what a job reported is for who asks then, and longer than all the rest. */
const LEFT_OUT: Readonly<Record<string, readonly string[]>> = { jobs: ['report'] };

/** The lines, LF included, one character a byte. @param head of the first line, behind `shelfs-catalog` and the revision */
export function* exportLines(select: Select, head: readonly string[]): Generator<string> {
  yield firstLine(head);
  for (const [table, names] of Object.entries(TOLD)) yield* tableLines(select, table, names);
}

/**
 * Of the text without a head, summed up by SQLite: twenty times faster than to write it, and what recurs with each run is by far
 * the most. There control bytes are not looked for: it is JSON, or words of ours.
 */
export function exportBytes(select: Select): number {
  let bytes = firstLine([]).length;
  for (const [table, names] of Object.entries(TOLD)) {
    if (SMALL.has(table)) for (const text of tableLines(select, table, names)) bytes += text.length;
    else bytes += tableBytes(select, table, names);
  }
  return bytes;
}

/** What a person named: few rows, and any byte in them. */
const SMALL: ReadonlySet<string> = new Set(['sources', 'rules']);
/** Of an escape, beyond the byte that it stands for. */
const ESCAPE_BYTES = 4;

function tableBytes(select: Select, table: string, names: readonly string[]): number {
  const columns = columnsOf(select, table);
  const lengths = columns.map(({ name, type }) => {
    if (type === 'INTEGER') return `coalesce(length(${name}), 1)`;
    if (type === 'BLOB') return `max(1, coalesce(2 * length(${name}), 1))`;
    const bytes = names.includes(name) ? `length(${name})` : `octet_length(${name})`;
    const backslashes = `length(${name}) - length(replace(${name}, '\\', ''))`;
    const escaped = `iif(instr(${name}, '\\') > 0, ${ESCAPE_BYTES} * (${backslashes}), 0)`;
    return `max(1, coalesce(${bytes} + ${escaped}, 1))`;
  });
  const [row] = select(`SELECT total(${lengths.join(' + ')}), count(*) FROM ${table}`);
  const [values, rows] = row ?? [];
  // A TAB before each value, a LF behind the last.
  const around = table.length + columns.length + 1;
  return headLine(table, columns).length + Number(values) + Number(rows) * around;
}

function* tableLines(select: Select, table: string, names: readonly string[]): Generator<string> {
  const columns = columnsOf(select, table);
  yield headLine(table, columns);
  const isName = columns.map(({ name }) => names.includes(name));
  for (const row of select(`SELECT ${columns.map(({ name }) => name).join()} FROM ${table}`))
    yield line([table, ...row.map((value, index) => field(value, isName[index]))]);
}

function firstLine(head: readonly string[]): string {
  return line(['shelfs-catalog', '1', ...head.map((text) => field(text))]);
}

function headLine(table: string, columns: readonly Column[]): string {
  return line(['table', table, ...columns.map(({ name }) => name)]);
}

/** Tables are STRICT: what a column holds is of its type, or NULL. */
type Column = { readonly name: string; readonly type: string };

function columnsOf(select: Select, table: string): Column[] {
  const leftOut = LEFT_OUT[table] ?? [];
  return [...select(`SELECT name, type FROM pragma_table_info('${table}')`)]
    .map(([name, type]) => ({ name: String(name), type: String(type) }))
    .filter(({ name }) => !leftOut.includes(name));
}

function line(fields: readonly string[]): string {
  return `${fields.join('\t')}\n`;
}

const PLAIN = /^[\x20-\x5b\x5d-\x7e]*$/;

function field(value: unknown, isName = false): string {
  if (value === null || value === '') return '-';
  if (typeof value === 'number') return String(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  const text = String(value);
  if (text === '-') return '\\0055';
  // Nearly everything is such: words, UUIDs, JSON without an escape.
  if (PLAIN.test(text)) return text;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control bytes are what is escaped
  return (isName ? text : toRaw(Buffer.from(text))).replace(/[\x00-\x1f\x7f\\]/g, octal);
}

function octal(character: string): string {
  return `\\0${character.charCodeAt(0).toString(8).padStart(3, '0')}`;
}
