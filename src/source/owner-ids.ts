/** Numbers for the owners of restored entries: another machine may know the same people by other numbers. */
import { type Raw, rawBytes } from '../base/raw.ts';
import type { Attributes } from '../domain/entry.ts';
import { type Answer, errnoName, type FsDoor } from './door.ts';

/** `names`: whom the name belongs to here, where somebody has it, else the number. `numbers`: the number. */
export type OwnersBy = 'names' | 'numbers';

/** A hostile archive may have an owner an entry: more than this and the cache starts anew. */
const IDS_MAX = 4096;

export class OwnerIds {
  readonly #door: FsDoor;
  readonly #by: OwnersBy;
  readonly #users = new Map<Raw, number | undefined>();
  readonly #groups = new Map<Raw, number | undefined>();
  /** Names the name service could not be asked for, with its errno: their numbers were used. */
  readonly failures = new Map<Raw, string>();

  constructor(door: FsDoor, by: OwnersBy) {
    this.#door = door;
    this.#by = by;
  }

  of({ user, group, uid, gid }: Pick<Attributes, 'user' | 'group' | 'uid' | 'gid'>): {
    readonly uid: number;
    readonly gid: number;
  } {
    if (this.#by === 'numbers') return { uid, gid };
    return {
      uid: this.#find(this.#users, user, (name) => this.#door.userId(name)) ?? uid,
      gid: this.#find(this.#groups, group, (name) => this.#door.groupId(name)) ?? gid,
    };
  }

  #find(
    cache: Map<Raw, number | undefined>,
    name: Raw,
    ask: (name: Buffer) => Answer,
  ): number | undefined {
    if (name === '') return undefined;
    if (cache.has(name)) return cache.get(name);
    if (cache.size >= IDS_MAX) cache.clear();
    const answer = ask(rawBytes(name));
    if (answer < 0 && errnoName(answer) !== 'ENOENT' && this.failures.size < IDS_MAX) {
      this.failures.set(name, errnoName(answer));
    }
    const id = answer < 0 ? undefined : answer;
    cache.set(name, id);
    return id;
  }
}
