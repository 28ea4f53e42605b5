/** `catalog check`: what of the catalog is not as it should be. */
import type { Catalog } from '../catalog/catalog.ts';
import { type CatalogFinding, checkCatalog } from '../catalog/file/check.ts';

/** @param onCheck told what is looked at next: each look may take minutes */
export function checkAll(catalog: Catalog, onCheck: (name: string) => void): CatalogFinding[] {
  return [...checkCatalog(catalog, onCheck)];
}
