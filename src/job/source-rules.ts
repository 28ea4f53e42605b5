/** Patterns and presets as people name them, for one source or for all. */
import { usage } from '../base/errors.ts';
import { type Raw, rawOf, rawText } from '../base/raw.ts';
import { printable } from '../base/text.ts';
import type { Rule } from '../catalog/job/sources.ts';
import { isPresetName, PRESET_NAMES } from '../source/presets.ts';

export type RuleWords = {
  /** As in .gitignore, the later one stronger. */
  readonly patterns: readonly Raw[];
  readonly presets: readonly string[];
};

/** @throws CodedError USAGE where a pattern or a preset makes no sense */
export function rulesOf({ patterns, presets }: RuleWords): Rule[] {
  return [
    ...presets.map((preset) => ({ kind: 'preset' as const, value: presetName(preset) })),
    ...patterns.map((pattern) => ({ kind: 'pattern' as const, value: checkedPattern(pattern) })),
  ];
}

/** Behind all that was there, so that it is the stronger; what is named again moves there. */
export function withRules(before: readonly Rule[], added: readonly Rule[]): Rule[] {
  return [...before, ...added].filter(
    (rule, index, all) => !all.slice(index + 1).some((next) => isSame(rule, next)),
  );
}

/** @throws CodedError USAGE where one of them is not there */
export function withoutRules(before: readonly Rule[], removed: readonly Rule[]): Rule[] {
  const missing = removed.find((rule) => !before.some((other) => isSame(rule, other)));
  if (missing !== undefined) {
    const { kind, value } = missing;
    throw usage(`there is no ${kind} "${rawText(value)}" there; nothing was removed`);
  }
  return before.filter((rule) => !removed.some((other) => isSame(rule, other)));
}

function isSame(a: Rule, b: Rule): boolean {
  return a.kind === b.kind && a.value === b.value;
}

function presetName(name: string): Raw {
  if (isPresetName(name)) return rawOf(name);
  throw usage(`--preset ${printable(name)}: say one of ${PRESET_NAMES.join(', ')}`);
}

function checkedPattern(pattern: Raw): Raw {
  if (pattern.startsWith('#'))
    throw usage(`--exclude "${rawText(pattern)}" is a comment; \\# begins a name with that sign`);
  if (!/[\0\n]/.test(pattern) && /[^\s!]/.test(pattern)) return pattern;
  throw usage(`--exclude "${rawText(pattern)}" is no pattern`);
}
