/**
 * Media set aside by a person, and where media are kept.
 *
 * On hold: nothing writes to it, erases it, grooms it or labels it anew; it is read as before, and its copies count. Lost:
 * its copies count no more, so that the next backup stores anew what was on it alone, and nobody waits for it.
 */
import { CodedError } from '../base/errors.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { type Location, Locations } from '../catalog/shelf/locations.ts';
import { Media, type Medium } from '../catalog/shelf/media.ts';
import { takeBack } from '../catalog/shelf/medium-state.ts';
import { findMedium } from './media.ts';

export type AsideState = 'hold' | 'lost';

/** All or none; nothing changes where it is so already. @throws CodedError USAGE */
export function setMediaAside(
  catalog: Catalog,
  names: readonly string[],
  to: AsideState,
): Medium[] {
  return each(catalog, names, (medium) => {
    if (to === 'hold' && (medium.state === 'lost' || medium.state === 'retired'))
      throw new CodedError(
        'USAGE',
        `${medium.barcode} is ${medium.state}: nothing is written to it anyway`,
      );
    new Media(catalog).setAside(medium.id, to);
  });
}

/** They become what they were before, all or none. @throws CodedError USAGE where one is not set aside so */
export function takeMediaBack(
  catalog: Catalog,
  names: readonly string[],
  from: AsideState,
): Medium[] {
  return each(catalog, names, ({ id, barcode, state, foreign }) => {
    if (foreign && from === 'hold')
      throw new CodedError(
        'USAGE',
        `${barcode} was written by another program, and is never written to: it stays on hold`,
      );
    if (state !== from)
      throw new CodedError('USAGE', `${barcode} is ${state}, not ${WORDS[from]}; nothing changed`);
    takeBack(catalog, id);
  });
}

const WORDS: Readonly<Record<AsideState, string>> = { hold: 'on hold', lost: 'lost' };

function each(
  catalog: Catalog,
  names: readonly string[],
  change: (medium: Medium) => void,
): Medium[] {
  const media = new Media(catalog);
  return catalog.write(() =>
    names.map((name) => {
      const medium = findMedium(catalog, name);
      change(medium);
      return media.get(medium.id);
    }),
  );
}

/** @param place undefined: nothing changes @throws CodedError USAGE where nobody keeps anything there */
export function locationOf(
  catalog: Catalog,
  name: string,
  place: 'offsite' | 'onsite' | undefined,
): Location {
  const locations = new Locations(catalog);
  if (place !== undefined) return locations.set(name, { isOffsite: place === 'offsite' });
  const known = locations.find(name);
  if (known) return known;
  throw new CodedError(
    'USAGE',
    'no medium was ever there; `shelfs media location` lists the places that are known',
  );
}

/** In order of name. */
export function listLocations(catalog: Catalog): Location[] {
  return new Locations(catalog).list();
}
