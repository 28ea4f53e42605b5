/** `[retention]` of the config: what is kept, in general and by source and pool. */
import { z } from 'zod';
import { PERIODS, type Period, type Policies, type Policy } from '../domain/retention.ts';
import type { Span } from '../domain/span.ts';
import { spanSchema } from './units.ts';

const countSchema = z.number().int().min(1).max(1_000_000).optional();
const spanOption = spanSchema.optional();

const RULES = {
  'keep-last': countSchema,
  'keep-hourly': countSchema,
  'keep-daily': countSchema,
  'keep-weekly': countSchema,
  'keep-monthly': countSchema,
  'keep-yearly': countSchema,
  'keep-within': spanOption,
  /** The same in other words. */
  'keep-all-within': spanOption,
  'keep-hourly-within': spanOption,
  'keep-daily-within': spanOption,
  'keep-weekly-within': spanOption,
  'keep-monthly-within': spanOption,
  'keep-yearly-within': spanOption,
};
type Rules = z.infer<z.ZodObject<typeof RULES>>;
const pickSchema = z.enum(['latest', 'earliest']).default('latest');

/** A policy that keeps nothing is a slip: it would leave the newest snapshot alone. */
const policySchema = z
  .strictObject({ ...RULES, pick: pickSchema })
  .refine(hasRules, 'say what is kept: keep-last, keep-daily, keep-all-within, ...')
  .transform(policyOf);
const policiesSchema = z.record(z.string().min(1), policySchema).default({});

export const retentionSchema = z
  .strictObject({
    ...RULES,
    pick: pickSchema,
    /** The first complete snapshot of each month or year is held, whatever the rules say. */
    golden: z.enum(['monthly', 'yearly']).optional(),
    sources: policiesSchema,
    pools: policiesSchema,
  })
  .refine(
    ({ 'keep-within': within, 'keep-all-within': all }) =>
      within === undefined || all === undefined,
    'keep-within and keep-all-within are one: say it once',
  )
  .transform(({ golden, sources, pools, ...general }): Policies & { golden?: Golden } => ({
    general: hasRules(general) ? policyOf(general) : undefined,
    sources,
    pools,
    ...(golden && { golden }),
  }));

type Golden = 'monthly' | 'yearly';

function hasRules({ pick: _, ...rules }: Rules & { readonly pick: Policy['pick'] }): boolean {
  return Object.values(rules).some((rule) => rule !== undefined);
}

function policyOf(rules: Rules & { readonly pick: Policy['pick'] }): Policy {
  const counts: Partial<Record<Period, number>> = {};
  const windows: Partial<Record<Period, Span>> = {};
  for (const period of PERIODS) {
    const [count, window] = [rules[`keep-${period}`], rules[`keep-${period}-within`]];
    if (count !== undefined) counts[period] = count;
    if (window) windows[period] = window;
  }
  const within = rules['keep-all-within'] ?? rules['keep-within'];
  return { last: rules['keep-last'], within, counts, windows, pick: rules.pick };
}
