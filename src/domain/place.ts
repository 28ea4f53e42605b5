/** Places in a library as people name them: `slot 3`, `port1`, `drive 0`, or the cartridge that stands there. */

/** Slots and ports are counted from 1, drives from 0, as `mtx` counts them. */
export type Place =
  | { readonly kind: 'slot' | 'port' | 'drive'; readonly number: number }
  /** A barcode or its first six characters. */
  | { readonly kind: 'cartridge'; readonly name: string };

/** Undefined where the text is neither a place nor could be the name of a cartridge. A bare number is a slot. */
export function parsePlace(text: string): Place | undefined {
  const match = /^(?:(slot|port|drive)[\s:]*)?(\d{1,5})$/i.exec(text.trim());
  if (match?.[2] !== undefined) {
    const kind = (match[1]?.toLowerCase() ?? 'slot') as 'slot' | 'port' | 'drive';
    return { kind, number: Number(match[2]) };
  }
  const name = text.trim().toUpperCase();
  return /^[A-Z0-9]{6}([A-Z0-9]{2})?$/.test(name) ? { kind: 'cartridge', name } : undefined;
}

export function formatPlace(place: { kind: string; number: number }): string {
  return `${place.kind} ${place.number}`;
}
