/** `shelfs media hold|release|lost|found|location`: media set aside, and places. */
import { CodedError } from '../base/errors.ts';
import { formatTable } from '../base/text.ts';
import { listLocations, locationOf, setMediaAside, takeMediaBack } from '../job/media-state.ts';
import { command, type OpenContext } from './context.ts';
import { BARCODES, documentMedium, formatMedia } from './media-words.ts';

type Verb = 'hold' | 'release' | 'lost' | 'found';

const DESCRIBES: Readonly<Record<Verb, string>> = {
  hold: 'Keep media as they are: read, but not written, erased, groomed or labelled anew',
  release: 'End a hold: they are again what they were before',
  lost: 'They are not to be had any more: their copies no longer count, the next backup stores anew what was on them alone',
  found: 'They are there again: what they were before they were lost, and their copies count',
};

const setting = (verb: Verb) => (open: OpenContext) =>
  command(
    {
      command: `${verb} <barcodes..>`,
      describe: DESCRIBES[verb],
      builder: (yargs) => yargs.positional('barcodes', BARCODES),
      run: async ({ app, output }, args) => {
        const catalog = await app.catalog('write');
        const { barcodes } = args;
        const changed =
          verb === 'hold' || verb === 'lost'
            ? setMediaAside(catalog, barcodes, verb)
            : takeMediaBack(catalog, barcodes, verb === 'release' ? 'hold' : 'lost');
        output.result({ media: changed.map(documentMedium) }, () => formatMedia(changed));
      },
    },
    open,
  );

export const hold = setting('hold');
export const release = setting('release');
export const lost = setting('lost');
export const found = setting('found');

export const location = (open: OpenContext) =>
  command(
    {
      command: 'location [name]',
      describe: 'Places where media are kept, and whether copies there count as off site',
      builder: (yargs) =>
        yargs
          .positional('name', { type: 'string', describe: 'such as "Bank, box 2"; default: all' })
          .option('offsite', { type: 'boolean', describe: 'it is in another building' })
          .option('onsite', { type: 'boolean', describe: 'it is not' }),
      run: async ({ app, output }, { name, offsite, onsite }) => {
        if (offsite && onsite) throw new CodedError('USAGE', 'say --offsite or --onsite, not both');
        const place = offsite ? 'offsite' : onsite ? 'onsite' : undefined;
        if (name === undefined && place !== undefined)
          throw new CodedError('USAGE', `say which place: shelfs media location NAME --${place}`);
        const catalog = await app.catalog(place === undefined ? 'read' : 'write');
        const places =
          name === undefined ? listLocations(catalog) : [locationOf(catalog, name, place)];
        const document = places.map(({ id: _, ...facts }) => facts);
        const rows = places.map((one) => [one.name, one.isOffsite ? 'off site' : '', one.media]);
        output.result({ locations: document }, () =>
          rows.length === 0
            ? 'no places; `shelfs media move BARCODE --location NAME` records where one is'
            : formatTable(['LOCATION', '', 'MEDIA'], rows),
        );
      },
    },
    open,
  );
