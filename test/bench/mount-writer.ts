/** A process of its own that commits many rows to a catalog, as a backup beside a mount would: STATE HOST DIRECTORIES FILES. */
import { strict as assert } from 'node:assert';
import { join } from 'node:path';
import { systemClock } from '../../src/base/clock.ts';
import { Catalog } from '../../src/catalog/catalog.ts';
import { CATALOG_FILE } from '../../src/config.ts';
import { fillCatalog } from './filled-catalog.ts';

const [, , state, host, directories, filesEach] = process.argv;
assert(state && host, 'say STATE HOST DIRECTORIES FILES');
const catalog = Catalog.open(join(state, CATALOG_FILE), { mode: 'write', clock: systemClock });
const shape = { host, directories: Number(directories), filesEach: Number(filesEach) };
fillCatalog(catalog, { ...shape, prefix: 'more-' });
catalog.close();
