/** The config file (TOML) into one frozen Config. Unknown keys are refused: a misspelt setting must not be ignored. */
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parse, TomlError } from 'smol-toml';
import { z } from 'zod';
import { CodedError, errnoOf } from './base/errors.ts';
import { printable } from './base/text.ts';
import { notifySchema } from './config/notify.ts';
import { retentionSchema } from './config/retention.ts';
import { durationSchema, sizeSchema } from './config/units.ts';

const virtualSchema = z.strictObject({
  kind: z.literal('virtual'),
  /** Relative to the state directory. */
  directory: z.string().min(1).default('virtual'),
  speed: z.enum(['instant', 'model', 'real']).default('model'),
  /** False: `shelfs library load` is the hand that moves cartridges. */
  changer: z.boolean().optional(),
});

const hardwareSchema = z.strictObject({
  kind: z.literal('hardware'),
  /** Left out: a person is the changer. */
  changer: z.string().startsWith('/').optional(),
  drives: z.array(z.string().startsWith('/')).min(1),
});

/** Every adapter reads blocks of 512 KiB; drives take at most 16 MiB - 1 (SSC-4), tar wants multiples of 512. */
const BLOCK_BYTES_DEFAULT = 512 * 2 ** 10;
const BLOCK_BYTES_MAX = 8 * 2 ** 20;

const archiveSchema = z.strictObject({
  /** An archive ends at this many bytes, so many minutes or entries, whatever comes first. Default: 32 GB. */
  size: sizeSchema.optional(),
  /** Larger files are written as parts of this size. Default: 64 GiB. */
  part: sizeSchema.optional(),
  minutes: z.number().positive().max(1440).default(15),
  entries: z.number().int().min(1).max(1_000_000).default(1_000_000),
  block: sizeSchema
    .default(BLOCK_BYTES_DEFAULT)
    .refine(
      (bytes) => bytes >= 4096 && bytes <= BLOCK_BYTES_MAX && bytes % 512 === 0,
      'a block has 4 KiB to 8 MiB, in steps of 512 bytes',
    ),
  /** `auto`: where the processor has instructions for it; in software it is slower than a drive. */
  sha256: z.enum(['auto', 'always', 'never']).default('auto'),
});

/** A burst of 20 s of an LTO-9 drive. */
const STAGING_BYTES_DEFAULT = 8e9;

const backupSchema = z.strictObject({
  /** Media of this pool are written. */
  pool: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/, 'letters, digits, dot, dash; 32 at most')
    .default('main'),
  copies: z.number().int().min(1).max(4).default(1),
  /** Bounds what readers, caches and workers hold together. */
  memory: sizeSchema
    .default(256 * 2 ** 20)
    .refine((bytes) => bytes >= 64 * 2 ** 20, 'at least 64 MiB'),
  /** Archives go to the drive by way of a disk: `auto` where the sources are too slow to keep its tape moving. */
  staging: z.enum(['auto', 'always', 'never']).default('auto'),
  /** On a fast disk; relative to the state directory. */
  'staging-directory': z.string().min(1).default('staging'),
  'staging-size': sizeSchema.default(STAGING_BYTES_DEFAULT),
  /** Scratch cartridges that the library holds are labelled when a backup needs them. */
  label: z.enum(['auto', 'never']).default('auto'),
});

const MS_A_DAY = 86_400_000;
/** Of the Gregorian calendar, on the average. */
const MS_A_YEAR = 365.2425 * MS_A_DAY;

const groomSchema = z.strictObject({
  /** Media of whose bytes fewer percent are live are groomed, where none are named. */
  below: z.number().min(0).max(100).default(50),
  /** What is moved waits on a disk, so much of it at most: with one drive cartridges are changed once for each. */
  spool: sizeSchema.default(100e9),
  /** Relative to the state directory. */
  'spool-directory': z.string().min(1).default('groom'),
});

/** What of a pool is to be, for each of its contents. */
const poolSchema = z.strictObject({
  /** Good copies, each on a medium of its own. Default: as many as a backup writes. */
  copies: z.number().int().min(1).max(8).optional(),
  /** Of them, so many at locations that are off site. */
  offsite: z.number().int().min(0).max(8).default(0),
  /** A copy counts only where it was written or read back so lately. Default: for ever. */
  'read-back': z
    .string()
    .transform((value, context) => {
      const months = /^([1-9]\d{0,3}) ?mo$/.exec(value)?.[1];
      const days = /^([1-9]\d{0,4}) ?d$/.exec(value)?.[1];
      if (months !== undefined) return (Number(months) * MS_A_YEAR) / 12;
      if (days !== undefined) return Number(days) * MS_A_DAY;
      context.addIssue(`"${value}" is no such time; write for instance "18mo" or "90d"`);
      return z.NEVER;
    })
    .optional(),
});

const stageSchema = z.strictObject({
  /** Relative to the state directory. */
  directory: z.string().min(1).default('stage'),
  /** Default: by what is free on its disk. */
  size: sizeSchema.optional(),
});

const recallSchema = z.strictObject({
  /** So often a medium is asked for that is not there, or is another one. */
  attempts: z.number().int().min(1).max(100).default(5),
  /** The drive is kept so long after the last read, in seconds. */
  hold: z.number().min(0).max(3600).default(30),
  /** A medium that is not there is waited for so long, in seconds. */
  wait: z
    .number()
    .min(0)
    .default(12 * 3600),
  /** Programs that never move a tape, instead of those that are known; a star at the end stands for the rest of a name. */
  refuse: z.array(z.string().min(1).max(15)).optional(),
  /** What one process may recall an hour. Default: everything. */
  budget: sizeSchema.optional(),
});

const operatorSchema = z.strictObject({
  /** A medium is waited for so long; then it counts as declined. */
  timeout: durationSchema.prefault('12h'),
  /** A wrong cartridge may be put in so often. */
  attempts: z.number().int().min(1).max(100).default(5),
  /** How often drives and ports are looked at while a cartridge is waited for. */
  look: durationSchema
    .prefault('5s')
    .refine((durationMs) => durationMs >= 1000, 'at least one second'),
});

const catalogSchema = z.strictObject({
  /** Where a copy of the catalog goes after each job; relative to the state directory. */
  export: z.string().min(1).optional(),
});
/** By pool: what goes to which vault, how often, and how many sets stay there. */
const rotationSchema = z.record(
  z.string().min(1),
  z.strictObject({
    vault: z.string().min(1),
    every: durationSchema.refine((ms) => ms >= 3_600_000, 'at least one hour'),
    sets: z.number().int().min(1).max(1000),
  }),
);

const drivesSchema = z.strictObject({
  /** A drive that asks for it is cleaned by a cleaning cartridge of the library: at once, or when the job has ended. */
  cleaning: z.enum(['auto', 'never']).default('auto'),
});

const configSchema = z.strictObject({
  library: z.discriminatedUnion('kind', [virtualSchema, hardwareSchema]),
  archive: archiveSchema.prefault({}),
  backup: backupSchema.prefault({}),
  groom: groomSchema.prefault({}),
  pools: z.record(z.string().min(1).max(32), poolSchema).prefault({}),
  stage: stageSchema.prefault({}),
  recall: recallSchema.prefault({}),
  operator: operatorSchema.prefault({}),
  notify: notifySchema.prefault({}),
  catalog: catalogSchema.prefault({}),
  retention: retentionSchema.prefault({}),
  rotation: rotationSchema.prefault({}),
  drives: drivesSchema.prefault({}),
});

export type LibraryConfig = z.infer<typeof configSchema>['library'];
export type ArchiveConfig = Readonly<z.infer<typeof archiveSchema>>;
export type BackupConfig = Readonly<z.infer<typeof backupSchema>>;
export type PoolConfig = Readonly<z.infer<typeof poolSchema>>;
export type GroomConfig = Readonly<z.infer<typeof groomSchema>>;
export type StageConfig = Readonly<z.infer<typeof stageSchema>>;
export type RecallConfig = Readonly<z.infer<typeof recallSchema>>;
/** Durations in ms. */
export type OperatorConfig = Readonly<z.infer<typeof operatorSchema>>;
export type CatalogConfig = Readonly<z.infer<typeof catalogSchema>>;
export type NotifyConfig = Readonly<z.infer<typeof notifySchema>>;
export type RotationConfig = Readonly<z.infer<typeof rotationSchema>>;
export type RetentionConfig = Readonly<z.infer<typeof retentionSchema>>;

export type Config = {
  /** Absolute path of the state directory. */
  readonly stateDirectory: string;
  readonly library: Readonly<LibraryConfig>;
  readonly archive: ArchiveConfig;
  readonly backup: BackupConfig;
  readonly groom: GroomConfig;
  /** By name. */
  readonly pools: Readonly<Record<string, PoolConfig>>;
  readonly stage: StageConfig;
  readonly recall: RecallConfig;
  readonly operator: OperatorConfig;
  readonly notify: NotifyConfig;
  readonly catalog: CatalogConfig;
  readonly retention: RetentionConfig;
  readonly rotation: RotationConfig;
  readonly drives: Readonly<z.infer<typeof drivesSchema>>;
};

export const CONFIG_FILE = 'config.toml';
/** Beside it, where the state directory is; src/catalog/SCHEMA.md says what is in it. */
export const CATALOG_FILE = 'catalog.sqlite';
export const RUN_DB_FILE = 'run.db';

/** `--state`, else SHELFS_STATE, else /var/lib/shelfs for root, else the user's own state directory. */
export function stateDirectory(options: {
  readonly state: string | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly isRoot: boolean;
}): string {
  const { state, environment, isRoot } = options;
  const chosen = state ?? environment.SHELFS_STATE;
  if (chosen) return resolve(chosen);
  if (isRoot) return '/var/lib/shelfs';
  const home = environment.XDG_STATE_HOME || join(environment.HOME || '/', '.local', 'state');
  return resolve(home, 'shelfs');
}

/**
 * @param named the config file; default: config.toml in the state directory
 * @throws CodedError STATE_MISSING when there is none, CONFIG_INVALID naming file and key
 */
export async function loadConfig(state: string, named?: string): Promise<Config> {
  const path = named ?? join(state, CONFIG_FILE);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    const isMissing = errnoOf(cause) === 'ENOENT' || errnoOf(cause) === 'ENOTDIR';
    if (isMissing && named === undefined) {
      const advice = '`shelfs init` makes one; --state or SHELFS_STATE names another';
      throw new CodedError('STATE_MISSING', `there is no shelfs state at ${state}: ${advice}`, {
        path,
        cause,
      });
    }
    throw invalid(path, `cannot be read (${errnoOf(cause) ?? 'error'})`, cause);
  }
  const { library, archive, backup, stage, recall, operator, notify, ...more } = parseConfig(
    text,
    path,
  );
  return Object.freeze({
    stateDirectory: state,
    library: Object.freeze(library),
    archive: Object.freeze(archive),
    backup: Object.freeze(backup),
    groom: Object.freeze(more.groom),
    pools: Object.freeze(more.pools),
    stage: Object.freeze(stage),
    recall: Object.freeze(recall),
    operator: Object.freeze(operator),
    notify: Object.freeze(notify),
    catalog: Object.freeze(more.catalog),
    retention: Object.freeze(more.retention),
    rotation: Object.freeze(more.rotation),
    drives: Object.freeze(more.drives),
  });
}

/** @throws CodedError CONFIG_INVALID */
export function parseConfig(text: string, path: string): z.infer<typeof configSchema> {
  let table: unknown;
  try {
    table = parse(text);
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw cause;
    const [first = 'not TOML'] = cause.message.replace('Invalid TOML document: ', '').split('\n');
    throw invalid(path, `line ${cause.line}: ${first}`, cause);
  }
  const result = configSchema.safeParse(table);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const key = issue?.path.join('.') || 'the file';
  throw invalid(path, `${key}: ${issue?.message ?? 'invalid'}`, result.error);
}

/** The file `init` writes. */
export function formatConfig(library: LibraryConfig): string {
  const lines = [
    '# shelfs: see README.md for every setting',
    '',
    '[library]',
    `kind = ${quote(library.kind)}`,
  ];
  if (library.kind === 'virtual') {
    lines.push('# cartridges are files in this directory, relative to this one');
    lines.push(`directory = ${quote(library.directory)}`);
    lines.push(
      '# the clock of the virtual drives: "instant", "model" (adds up seconds) or "real" (waits for them)',
    );
    lines.push(`speed = ${quote(library.speed)}`);
    if (library.changer === false) {
      lines.push(
        '# a person moves the cartridges: `shelfs library load` and `unload` are the hand',
      );
      lines.push('changer = false');
    }
  } else {
    if (library.changer === undefined) lines.push('# no changer: a person is asked for cartridges');
    else lines.push(`changer = ${quote(library.changer)}`);
    lines.push(`drives = [${library.drives.map(quote).join(', ')}]`);
  }
  return `${lines.join('\n')}\n`;
}

/** A TOML basic string: as in JSON, but for DEL, which TOML wants escaped too. */
function quote(text: string): string {
  return JSON.stringify(text).replaceAll('\x7f', '\\u007f');
}

function invalid(path: string, what: string, cause: unknown): CodedError {
  return new CodedError('CONFIG_INVALID', `${path}: ${printable(what)}`, { path, cause });
}
