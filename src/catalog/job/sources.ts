/** Sources and rules: what is to be protected, and what is left out of it. */
import { strict as assert } from 'node:assert';
import { CodedError } from '../../base/errors.ts';
import { type Raw, rawText } from '../../base/raw.ts';
import { printable } from '../../base/text.ts';
import type { Catalog } from '../catalog.ts';

export type NewSource = {
  /** Unique among the sources. */
  readonly name: string;
  readonly hostId: number;
  /** Where it is read. */
  readonly path: Raw;
  /** The path under which the catalog knows it: `--as`, else the same. */
  readonly original: Raw;
  /** As JSON. */
  readonly options: unknown;
};

export type Source = NewSource & { readonly id: number };

export type RuleKind = 'pattern' | 'preset' | 'track' | 'untrack';

/** Values are Raw for paths and patterns alike: names are bytes. */
export type Rule = { readonly kind: RuleKind; readonly value: Raw };

type SourceRow = [
  id: number,
  name: string,
  host: number,
  path: Raw,
  original: Raw,
  options: string,
];

const SELECT = 'SELECT id, name, host, path, original, options FROM sources';

export class Sources {
  readonly #catalog: Catalog;

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
  }

  /** @throws CodedError USAGE when the name or the original path of the host is taken */
  add(source: NewSource): number {
    return this.#catalog.write(() => {
      for (const other of this.list()) {
        if (other.name === source.name)
          throw new CodedError('USAGE', `there is a source named ${printable(source.name)}`);
        if (other.hostId === source.hostId && other.original === source.original)
          throw new CodedError('USAGE', `${rawText(source.original)} is a source already`);
      }
      const id = this.#catalog
        .prepare<[number]>(
          'INSERT INTO sources(name, host, path, original, options) VALUES(?, ?, ?, ?, ?) RETURNING id',
        )
        .get(
          source.name,
          source.hostId,
          source.path,
          source.original,
          JSON.stringify(source.options),
        )?.[0];
      assert(id !== undefined);
      return id;
    });
  }

  /** In order of name. */
  list(): Source[] {
    return this.#catalog.prepare<SourceRow>(`${SELECT} ORDER BY name`).all().map(toSource);
  }

  find(name: string): Source | undefined {
    const row = this.#catalog.prepare<SourceRow>(`${SELECT} WHERE name = ?`).get(name);
    return row && toSource(row);
  }

  setOptions(id: number, options: unknown): void {
    this.#catalog.write(() =>
      this.#catalog
        .prepare('UPDATE sources SET options = ? WHERE id = ?')
        .run(JSON.stringify(options), id),
    );
  }

  /** With its rules. What was backed up stays in the catalog. */
  remove(id: number): void {
    this.#catalog.write(() => this.#catalog.prepare('DELETE FROM sources WHERE id = ?').run(id));
  }

  /** In the order they apply. @param sourceId undefined: the global ones */
  rules(sourceId: number | undefined): Rule[] {
    return this.#catalog
      .prepare<[RuleKind, Raw]>(
        'SELECT kind, value FROM rules WHERE source IS ? ORDER BY position, id',
      )
      .all(sourceId ?? null)
      .map(([kind, value]) => ({ kind, value }));
  }

  /** Replaces them all. */
  setRules(sourceId: number | undefined, rules: readonly Rule[]): void {
    this.#catalog.write(() => {
      this.#catalog.prepare('DELETE FROM rules WHERE source IS ?').run(sourceId ?? null);
      const insert = this.#catalog.prepare(
        'INSERT INTO rules(source, kind, value, position) VALUES(?, ?, ?, ?)',
      );
      for (const [position, { kind, value }] of rules.entries())
        insert.run(sourceId ?? null, kind, value, position);
    });
  }
}

function toSource([id, name, hostId, path, original, options]: SourceRow): Source {
  return { id, name, hostId, path, original, options: JSON.parse(options) };
}
