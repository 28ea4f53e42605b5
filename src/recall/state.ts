/** What is known of a content without moving anything: whether it can be read now, later or never, and how soon. */
import type { Contents } from '../catalog/content/contents.ts';
import type { Media } from '../catalog/shelf/media.ts';
import { type GenerationName, parseGeneration } from '../domain/generation.ts';
import { CopyChooser } from './copies.ts';
import { Item, type RecallRun } from './item.ts';
import type { Loop } from './loop.ts';
import { goSeconds, tapeShape } from './order.ts';
import type { Presence } from './presence.ts';
import type { Stage } from './stage.ts';

/** `online`: staged; `nearline`: in the library; `offline`: a person has to bring it; `lost`: no copy is left. */
export type ContentState = 'online' | 'nearline' | 'offline' | 'lost';

export type StateTools = {
  readonly contents: Contents;
  readonly media: Media;
  readonly stage: Stage;
  readonly presence: Presence;
  readonly loop: Loop;
};

const GENERATION_DEFAULT: GenerationName = 'LTO-9';
/** Measured on LTO-9 with a small library's picker: from the slot to ready, and to the middle of the data. */
const LOAD_SECONDS = 10 + 16 + 65;
/** The same for what is in the drive: rewind, unload, back to the slot. */
const UNLOAD_SECONDS = 62 + 56 + 10;

export class States {
  readonly #tools: StateTools;

  constructor(tools: StateTools) {
    this.#tools = tools;
  }

  /** As far as is known; the library is not asked. */
  stateOf(contentId: number): ContentState {
    const { contents, stage } = this.#tools;
    const content = contents.getIfThere(contentId);
    if (!content) return 'lost';
    if (stage.has(content.hash)) return 'online';
    const runs = this.#runs(contentId);
    if (!runs) return 'lost';
    return runs.every(({ copy }) => this.#isNear(copy.barcode)) ? 'nearline' : 'offline';
  }

  /** Seconds until its first byte, were nobody else to wait; undefined where a person has to help, or nothing does. */
  etaSeconds(contentId: number): number | undefined {
    const state = this.stateOf(contentId);
    if (state === 'online') return 0;
    const [first] = this.#runs(contentId) ?? [];
    if (state !== 'nearline' || !first) return undefined;
    const { loop, media, presence } = this.#tools;
    const medium = media.get(first.mediumId);
    const name = parseGeneration(medium.generation ?? '')?.name ?? GENERATION_DEFAULT;
    const shape = tapeShape(name, Math.max(1, medium.capacityBytes));
    const { position } = loop;
    if (position?.mediumId === first.mediumId)
      return Math.ceil(goSeconds(shape, position.headByte, first.startByte));
    if (presence.loaded === medium.barcode) return Math.ceil(goSeconds(shape, 0, first.startByte));
    const isOccupied = position !== undefined || presence.loaded !== undefined;
    return LOAD_SECONDS + (isOccupied ? UNLOAD_SECONDS : 0);
  }

  #runs(contentId: number): RecallRun[] | undefined {
    const { contents } = this.#tools;
    const content = contents.getIfThere(contentId);
    if (!content) return undefined;
    const media = {
      isPresent: (barcode: string) => this.#isNear(barcode),
      isOffline: () => false,
    };
    return new Item({ ...content, contentId }, contents, 0).runs(new CopyChooser(media));
  }

  /** Where nobody can look, it counts as on a shelf when the catalog says where. */
  #isNear(barcode: string): boolean {
    const { presence, media } = this.#tools;
    if (presence.isKnown) return presence.isPresent(barcode);
    return media.find(barcode)?.location === undefined;
  }
}
