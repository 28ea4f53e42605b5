/**
 * How a source wants to be backed up: its options, kept as JSON in the catalog, and the filter its rules make.
 *
 * Patterns and presets are rules of their own tables, so that one of them can be changed alone; what concerns the whole
 * source stands here.
 */
import { z } from 'zod';
import { CodedError } from '../base/errors.ts';
import type { Raw } from '../base/raw.ts';
import { printable } from '../base/text.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { type Source, type Rule as SourceRule, Sources } from '../catalog/job/sources.ts';
import { CHANGE_CRITERIA, type ChangePolicy } from '../pack/change.ts';
import { Filter, type Mark } from '../source/filter.ts';
import { relativePath } from '../source/original.ts';
import type { Rule } from '../source/pattern.ts';
import { isPresetName, presetRules } from '../source/presets.ts';

/** A program and its arguments, run without a shell. */
const argvSchema = z.array(z.string().regex(/^[^\0]*$/)).min(1);

const optionsSchema = z.strictObject({
  /** Links stand for what they lead to; else they are stored as links. */
  followSymlinks: z.boolean().default(false),
  oneFileSystem: z.boolean().default(false),
  changedBy: z
    .array(z.enum(CHANGE_CRITERIA))
    .min(1)
    .default([...CHANGE_CRITERIA]),
  /** What a ctime that changed alone means: attributes stored anew, or the content read again. */
  ctimeMeans: z.enum(['attributes', 'content']).default('attributes'),
  /** Leaves out what is flagged `chattr +d`. */
  nodump: z.boolean().default(false),
  cacheDirectories: z.enum(['enter', 'leave-out']).default('enter'),
  /** Run before the scan; its failure ends the backup of this source. */
  before: argvSchema.optional(),
  /** Run when the source has been read, whether that went well or not. */
  after: argvSchema.optional(),
});

export type SourceOptions = Readonly<z.infer<typeof optionsSchema>>;

/**
 * Reads what `source add` stored.
 * @param json the parsed document; `{}` gives every default
 * @throws CodedError CATALOG_NEWER where an option is unknown to this program
 */
export function parseSourceOptions(json: unknown): SourceOptions {
  const result = optionsSchema.safeParse(json);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const key = issue?.path.join('.') || 'the whole';
  throw new CodedError(
    'CATALOG_NEWER',
    `the options of a source are not understood (${printable(key)}: ${printable(issue?.message ?? 'invalid')}): a newer program wrote them`,
    { cause: result.error },
  );
}

/** By what this source's files are taken for changed, as `changeOf` asks for it. */
export function changePolicyOf({ changedBy, ctimeMeans }: SourceOptions): ChangePolicy {
  return { changedBy: new Set(changedBy), ctimeMeans };
}

/**
 * What of a source is kept: global rules, then presets, then the source's own; the last match decides, and the nearest
 * track or untrack stands above them all.
 * @throws CodedError CATALOG_NEWER where a preset or an option is unknown to this program
 */
export function filterOf(catalog: Catalog, source: Source): Filter {
  const sources = new Sources(catalog);
  const globals = sources.rules(undefined);
  const own = sources.rules(source.id);
  const marks = new Map<Raw, Mark>();
  // Marks for all sources name the path as it is known; those of a source are relative to it.
  for (const { kind, value } of globals) {
    const path = relativePath(source, value);
    if (isMark(kind) && path !== undefined) marks.set(path, kind);
  }
  for (const { kind, value } of own) if (isMark(kind)) marks.set(value, kind);
  return new Filter({
    rules: [
      ...patternsOf(globals, { pattern: 'global', preset: 'global ' }),
      ...patternsOf(own, { pattern: 'source', preset: '' }),
    ],
    marks,
    nodump: parseSourceOptions(source.options).nodump,
  });
}

/** Presets first, so that a pattern of the same level may undo a part of one. */
function patternsOf(
  rules: readonly SourceRule[],
  origin: { readonly pattern: string; readonly preset: string },
): Rule[] {
  const presets = rules
    .filter(({ kind }) => kind === 'preset')
    .flatMap(({ value }) => presetOf(value));
  const patterns = rules.filter(({ kind }) => kind === 'pattern');
  return [
    ...presets.map((rule) => ({ ...rule, origin: `${origin.preset}${rule.origin}` })),
    ...patterns.map(({ value }) => ({ pattern: value, origin: origin.pattern })),
  ];
}

function presetOf(name: string): readonly Rule[] {
  if (isPresetName(name)) return presetRules(name);
  const sentence = `the preset ${printable(name)} of a source is not known: a newer program named it`;
  throw new CodedError('CATALOG_NEWER', sentence);
}

function isMark(kind: SourceRule['kind']): kind is Mark {
  return kind === 'track' || kind === 'untrack';
}
