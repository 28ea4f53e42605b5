/**
 * Trees as people have them, in memory, and what they do with them: work that must not look like damage, and damage that must.
 * Bytes are those of the formats: text, marked heads before dense bodies, objects of a compiler.
 */
import { gzipSync } from 'node:zlib';
import { type Random, seededRandom } from '../../src/base/random.ts';

export type LifeTree = Map<string, Buffer>;

const WORDS =
  'the shelf has room for tapes and a catalog of files that were kept when nobody else had thought of them';

export class Life {
  readonly tree: LifeTree = new Map();
  readonly #random: Random;
  #next = 0;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  /** A home: documents, photographs, projects, mail, logs, and a vault of encrypted blocks. */
  furnish(): void {
    for (let album = 0; album < 4; album += 1) this.importPhotos(12);
    for (let index = 0; index < 40; index += 1) this.#put(`documents/${index}.txt`, this.#text());
    for (let index = 0; index < 15; index += 1) this.#put(`documents/${index}.pdf`, this.#pdf());
    for (let project = 0; project < 3; project += 1)
      for (let index = 0; index < 25; index += 1)
        this.#put(`projects/p${project}/src/${index}.c`, this.#text());
    for (let index = 0; index < 30; index += 1) this.#put(`mail/cur/${index}.M1P2,S`, this.#text());
    for (let index = 0; index < 6; index += 1) this.#put(`logs/app.log.${index}`, this.#text());
    for (let index = 0; index < 20; index += 1) this.#put(`vault/${this.#hex()}`, this.#dense(600));
    this.#put('logs/app.log', this.#text());
  }

  /** What nobody should be woken for. */
  readonly ordinary = {
    checkout: () => {
      const [project] = this.#some(['p0', 'p1', 'p2'], 1);
      const files = this.#below(`projects/${project}/src/`);
      for (const path of this.#some(files, this.#between(0, files.length)))
        this.#put(path, this.#text());
      for (const path of this.#some(files, this.#between(0, 5))) this.tree.delete(path);
      for (let index = 0; index < this.#between(0, 12); index += 1)
        this.#put(`projects/${project}/src/${this.#name()}.c`, this.#text());
      this.#put(`projects/${project}/.git/objects/${this.#hex()}`, this.#zlib());
      this.#put(`projects/${project}/.git/index`, this.#dense(900));
    },
    importPhotos: () => this.importPhotos(this.#between(1, 120)),
    compile: () => {
      const [project] = this.#some(['p0', 'p1', 'p2'], 1);
      for (const path of this.#below(`projects/${project}/src/`))
        this.#put(`${path.replace('/src/', '/build/').slice(0, -2)}.o`, this.#object());
    },
    clean: () => {
      for (const path of [...this.tree.keys()])
        if (path.includes('/build/')) this.tree.delete(path);
    },
    mail: () => {
      for (let index = 0; index < this.#between(1, 40); index += 1)
        this.#put(`mail/new/${this.#name()}.M3`, this.#text());
      for (const path of this.#below('mail/new/'))
        if (this.#random.below(2)) this.#move(path, `${path.replace('/new/', '/cur/')},S`);
    },
    rotate: () => {
      for (let index = 9; index >= 1; index -= 1) {
        const [from, to] = [`logs/app.log.${index - 1}`, `logs/app.log.${index}`];
        const bytes = this.tree.get(from);
        if (bytes) this.#put(to, bytes);
      }
      this.#put('logs/app.log.0', this.tree.get('logs/app.log') ?? this.#text());
      this.#put('logs/app.log', this.#text());
    },
    packLogs: () => {
      for (const path of this.#below('logs/'))
        if (/\.\d+$/.test(path)) {
          this.#put(`${path}.gz`, gzipSync(this.tree.get(path) ?? Buffer.alloc(0)));
          this.tree.delete(path);
        }
    },
    moveTree: () => {
      const [from] = this.#some(['photos', 'documents', 'projects'], 1);
      const to = `${this.#random.below(2) ? '' : 'archive/'}${from}-${this.#name()}`;
      for (const path of this.#below(`${from}/`))
        this.#move(path, path.replace(`${from}/`, `${to}/`));
      // And it is furnished anew: the next steps find something to do.
      for (let index = 0; index < 10; index += 1)
        this.#put(`${from}/${this.#name()}.txt`, this.#text());
    },
    upgrade: () => {
      for (const path of this.tree.keys())
        if (/^(projects|documents)/.test(path) && /\.(c|txt)$/.test(path))
          this.#put(path, this.#text());
    },
    packFolder: () => {
      const [folder] = this.#some(['photos', 'documents', 'projects', 'mail'], 1);
      const files = this.#below(`${folder}/`);
      const all = Buffer.concat(files.map((path) => this.tree.get(path) ?? Buffer.alloc(0)));
      for (const path of files) this.tree.delete(path);
      this.#put(`${folder}.tar.gz`, gzipSync(all));
    },
    packEach: () => {
      for (const path of this.#below('documents/')) {
        if (!path.endsWith('.txt')) continue;
        this.#put(`${path}.gz`, gzipSync(this.tree.get(path) ?? Buffer.alloc(0)));
        this.tree.delete(path);
      }
    },
    convert: () => {
      for (const path of this.#below('photos/')) {
        if (!path.endsWith('.jpg')) continue;
        const webp = Buffer.concat([Buffer.from('RIFFxxxxWEBPVP8 '), this.#dense(700)]);
        this.#put(path.replace(/jpg$/, 'webp'), webp);
        this.tree.delete(path);
      }
    },
    vault: () => {
      for (const path of this.#below('vault/'))
        if (this.#random.below(2)) this.#put(path, this.#dense(600));
    },
    edit: () => {
      for (const path of this.#some([...this.tree.keys()], this.#between(0, 8)))
        if (/\.(txt|c)$/.test(path)) this.#put(path, this.#text());
    },
    nothing: () => {},
  };

  /** What somebody has to look at. A share of all files, 0 to 1. */
  readonly damage = {
    inPlace: (share: number) => {
      for (const path of this.#share(share))
        this.#put(path, this.#dense(this.tree.get(path)?.length ?? 0));
    },
    newSuffix: (share: number, suffix = 'locked') => {
      for (const path of this.#share(share)) {
        this.#put(`${path}.${suffix}`, this.#dense(this.tree.get(path)?.length ?? 0));
        this.tree.delete(path);
      }
    },
    otherSuffix: (share: number) => {
      for (const path of this.#share(share)) {
        this.#put(
          path.replace(/\.[^./]+$/, '.qxz7'),
          this.#dense(this.tree.get(path)?.length ?? 0),
        );
        this.tree.delete(path);
      }
    },
    deleted: (share: number) => {
      for (const path of this.#share(share)) this.tree.delete(path);
    },
  };

  importPhotos(count: number): void {
    const album = this.#name();
    for (let index = 0; index < count; index += 1)
      this.#put(`photos/${album}/${index}.jpg`, this.#jpeg());
  }

  /** Those nobody has damaged yet come first: it goes from one to the next. */
  #share(share: number): string[] {
    const count = Math.ceil(this.tree.size * share);
    const paths = [...this.tree.keys()].filter((path) => !this.#damaged.has(path));
    const chosen = this.#some(paths, count);
    for (const path of chosen) this.#damaged.add(path);
    return chosen;
  }

  readonly #damaged = new Set<string>();

  #put(path: string, bytes: Buffer): void {
    this.tree.set(path, bytes);
  }

  #move(from: string, to: string): void {
    const bytes = this.tree.get(from);
    if (!bytes) return;
    this.tree.delete(from);
    this.tree.set(to, bytes);
  }

  #below(prefix: string): string[] {
    return [...this.tree.keys()].filter((path) => path.startsWith(prefix));
  }

  #some<T>(items: readonly T[], count: number): T[] {
    const left = [...items];
    for (let index = left.length - 1; index > 0; index -= 1) {
      const other = this.#random.below(index + 1);
      const [a, b] = [left[index], left[other]];
      if (a !== undefined && b !== undefined) [left[index], left[other]] = [b, a];
    }
    return left.slice(0, count);
  }

  #between(least: number, most: number): number {
    return least + this.#random.below(most - least + 1);
  }

  #name(): string {
    this.#next += 1;
    return `n${this.#next}`;
  }

  #hex(): string {
    return Array.from({ length: 38 }, () => this.#random.below(16).toString(16)).join('');
  }

  #text(): Buffer {
    const words = WORDS.split(' ');
    const length = this.#between(20, 200);
    return Buffer.from(
      Array.from({ length }, () => words[this.#random.below(words.length)]).join(' '),
    );
  }

  #dense(length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => this.#random.below(256)));
  }

  #jpeg(): Buffer {
    return Buffer.concat([
      Buffer.from('ffd8ffe000104a464946', 'hex'),
      this.#dense(this.#between(500, 1500)),
    ]);
  }

  #pdf(): Buffer {
    return Buffer.concat([Buffer.from('%PDF-1.7\n'), this.#dense(this.#between(500, 1500))]);
  }

  #zlib(): Buffer {
    return Buffer.concat([Buffer.from('7801', 'hex'), this.#dense(400)]);
  }

  #object(): Buffer {
    const head = Buffer.from('7f454c46020101000000000000000000', 'hex');
    return Buffer.concat([head, Buffer.from(this.#text().toString('base64'))]);
  }
}
