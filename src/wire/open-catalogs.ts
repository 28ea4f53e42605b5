/** The connections to the catalog that this process has: one a mode at most, opened when they are asked for. */
import type { Clock } from '../base/clock.ts';
import type { Catalog, CatalogMode } from '../catalog/catalog.ts';

export class OpenCatalogs {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #open = new Map<CatalogMode, Catalog>();

  constructor(path: string, clock: Clock) {
    this.#path = path;
    this.#clock = clock;
  }

  /** Kept until `close`; who writes reads by the same. @throws CodedError as `Catalog.open` */
  async of(mode: CatalogMode): Promise<Catalog> {
    const known = this.#open.get('write') ?? this.#open.get(mode);
    if (known) return known;
    const opened = await this.#connect(mode);
    this.#open.set(mode, opened);
    return opened;
  }

  /** By the connection that this process writes with, else by one for a moment. @throws CodedError as `Catalog.open` */
  async writing<T>(work: (catalog: Catalog) => T): Promise<T> {
    const known = this.#open.get('write');
    if (known) return work(known);
    const opened = await this.#connect('write');
    try {
      return work(opened);
    } finally {
      opened.close();
    }
  }

  /** May be called twice. */
  close(): void {
    for (const catalog of this.#open.values()) catalog.close();
    this.#open.clear();
  }

  async #connect(mode: CatalogMode): Promise<Catalog> {
    const { Catalog } = await import('../catalog/catalog.ts');
    return Catalog.open(this.#path, { mode, clock: this.#clock });
  }
}
