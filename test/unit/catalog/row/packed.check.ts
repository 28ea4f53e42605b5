/** What is asked of native/sqlite: rows as they were packed, and every way in which columns do not fit each other. */
import { strict as assert } from 'node:assert';
import Database from 'better-sqlite3';

export type Check = { readonly name: string; run(db: Database.Database): void };

/** @param file of the extension, as built for release or for debugging */
export function runCheck(check: Check, file: string): void {
  const db = new Database(':memory:');
  try {
    db.loadExtension(file);
    check.run(db);
  } finally {
    db.close();
  }
}

type Bound = number | string | Buffer | null;

function rows(db: Database.Database, sql: string, ...bound: Bound[]): unknown[] {
  return db.prepare(sql).raw().all(bound);
}

function doubles(...numbers: number[]): Buffer {
  return Buffer.from(new Float64Array(numbers).buffer);
}

/** As native/sqlite reads it: the template ends with a T. */
function layoutOf(shape: {
  readonly fixed: number;
  readonly lengthAt: number;
  readonly numberAt: number;
  readonly first: number;
  readonly key: number;
  readonly rowsMax?: number;
  readonly fields: readonly (readonly number[])[];
}): Buffer {
  const { fixed, lengthAt, numberAt, first, key, rowsMax = 3000, fields } = shape;
  const head = [fixed, lengthAt, numberAt, first, key, rowsMax, fields.length];
  const numbers = [...head, ...fields.flat()];
  const template = Buffer.alloc(fixed);
  template.write('T', fixed - 1);
  return Buffer.concat([new Uint8Array(new Int16Array(numbers).buffer), template]);
}

const SAFE = Number.MAX_SAFE_INTEGER;

export const CHECKS: readonly Check[] = [
  {
    name: 'numbers: integers up to 2^53, NULL for a NaN, others as they are',
    run: (db) => {
      const packed = doubles(1, -2, SAFE, -SAFE, Number.NaN, 1e300, Number.POSITIVE_INFINITY, 0);
      assert.deepEqual(rows(db, 'SELECT n0, n1, typeof(n0) FROM packed(?, 2)', packed), [
        [1, -2, 'integer'],
        [SAFE, -SAFE, 'integer'],
        [null, 1e300, 'null'],
        [Number.POSITIVE_INFINITY, 0, 'real'],
      ]);
    },
  },
  {
    name: 'texts, any byte and none at all, and pieces of bytes beside them',
    run: (db) => {
      const sql = 'SELECT n0, t0, t1, b0 FROM packed(?, 1, ?, 2, ?)';
      const texts = 'a\u{1}\u{ff}\0\0\u{80}é\0b\0';
      const bytes = Buffer.from('0001');
      assert.deepEqual(rows(db, sql, doubles(7, 8), texts, bytes), [
        [7, 'a\u{1}\u{ff}', '', Buffer.from('00')],
        [8, '\u{80}é', 'b', Buffer.from('01')],
      ]);
    },
  },
  {
    name: 'what is not there is NULL, and no rows are no rows',
    run: (db) => {
      const sql = 'SELECT n1, n15, t0, b0 FROM packed(?, 1, ?, 0, ?)';
      assert.deepEqual(rows(db, sql, doubles(1), '', null), [[null, null, null, null]]);
      assert.deepEqual(rows(db, sql, doubles(1), 'more', Buffer.alloc(0)), [
        [null, null, null, null],
      ]);
      assert.deepEqual(rows(db, sql, Buffer.alloc(0), 'x', Buffer.from('y')), []);
      assert.deepEqual(rows(db, 'SELECT n0 FROM packed(?, 1)', null), []);
    },
  },
  {
    name: 'columns that do not fit each other are refused',
    run: (db) => {
      const all = 'SELECT * FROM packed(?, ?, ?, ?, ?)';
      const refused: Bound[][] = [
        [doubles(1, 2, 3), 2, '', 0, null],
        [doubles(1).subarray(1), 1, '', 0, null],
        [doubles(1), 0, '', 0, null],
        [doubles(1), -1, '', 0, null],
        [doubles(1), 17, '', 0, null],
        [doubles(1), 1, '', -1, null],
        [doubles(1), 1, 'a\0b\0c\0', 3, null],
        [doubles(1, 2), 1, 'a\0', 1, null],
        [doubles(1), 1, 'not ended', 1, null],
        [doubles(1), 1, null, 1, null],
        [doubles(1, 2), 1, '', 0, Buffer.from('odd')],
      ];
      for (const bound of refused)
        assert.throws(() => rows(db, all, ...bound), { code: 'SQLITE_MISUSE' });
      assert.throws(() => rows(db, 'SELECT * FROM packed'), { code: 'SQLITE_MISUSE' });
      assert.throws(() => rows(db, 'SELECT * FROM packed(?)', doubles(1)), {
        code: 'SQLITE_MISUSE',
      });
    },
  },
  {
    name: 'many at once, also within each other, and left before their end',
    run: (db) => {
      const many = doubles(...Array.from({ length: 1000 }, (_, index) => index));
      const pairs =
        'SELECT count(*), sum(a.n0 * b.n0) FROM packed(?, 1) a CROSS JOIN packed(?, 1) b';
      assert.deepEqual(rows(db, pairs, many, many), [[1_000_000, 499_500 ** 2]]);
      const each = 'SELECT count(*) FROM packed(?, 1) a JOIN packed(a.b0, 1) b';
      assert.deepEqual(rows(db, each, many), [[0]]);
      for (const [number] of db
        .prepare<Bound[], [number]>('SELECT n0 FROM packed(?, 1)')
        .raw()
        .iterate(many))
        if (number === 5) break;
    },
  },
  {
    name: 'rows find and become rows of a table',
    run: (db) => {
      db.exec('CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, hash BLOB) STRICT');
      const put = 'INSERT OR REPLACE INTO t SELECT n0 * 2, t0, b0 FROM packed(?, 1, ?, 1, ?)';
      db.prepare(put).run(doubles(1, 2, 1), 'one\0two\0again\0', Buffer.from('aabbcc'));
      assert.deepEqual(rows(db, 'SELECT * FROM t'), [
        [2, 'again', Buffer.from('cc')],
        [4, 'two', Buffer.from('bb')],
      ]);
      const found = 'SELECT p.n0, t.name FROM packed(?, 2) p CROSS JOIN t ON t.id = p.n1';
      assert.deepEqual(rows(db, found, doubles(10, 4, 11, 5, 12, 2)), [
        [10, 'two'],
        [12, 'again'],
      ]);
    },
  },
  {
    name: 'records: numbers and texts where the layout says, ordered by a column',
    run: (db) => {
      db.exec('CREATE TABLE t(name TEXT, a INT, b INT)');
      db.exec("INSERT INTO t VALUES('late', 3, -1), ('né\u{80}\u{ff}', 1, NULL), ('', 1, 258)");
      const layout = layoutOf({
        ...{ fixed: 32, lengthAt: 24, numberAt: 0, first: 7, key: 0 },
        fields: [
          [1, 8, 8, 0, 0],
          [1, 16, 2, 1, 0],
          [0, 20, 1, 0, -4],
          [1, 21, 1, 0, 8],
          [0, 20, 1, 0, 0],
        ],
      });
      const record = (number: number, b: number, [c, d]: readonly number[], text: string) => {
        const bytes = Buffer.alloc((32 + text.length + 7) & ~7);
        bytes.writeBigInt64LE(BigInt(number), 0);
        bytes.writeBigInt64LE(BigInt(b), 8);
        bytes.writeUInt16LE((b + 1) & 0xffff, 16);
        bytes.writeUInt8(c ?? 0, 20);
        bytes.writeUInt8(d ?? 0, 21);
        bytes.writeUInt32LE(text.length, 24);
        bytes.write('T', 31);
        bytes.write(text, 32, 'latin1');
        return bytes;
      };
      const expected = Buffer.concat([
        record(7, 0, [0x11, 0], 'né\u{80}\u{ff}'),
        record(8, 258, [0x11, 1], ''),
        record(9, -1, [0x33, 0xff], 'late'),
      ]);
      const sql = 'SELECT records(?, name, a, b) FROM t';
      assert.deepEqual(rows(db, sql, layout), [[expected]]);
      assert.deepEqual(rows(db, `${sql} WHERE 0`, layout), [[null]]);
    },
  },
  {
    name: 'records: many at once, as they are and in another order',
    run: (db) => {
      const numbers = doubles(...Array.from({ length: 3000 }, (_, index) => index));
      const shape = { fixed: 24, lengthAt: 8, numberAt: 0, first: 0, key: 0 };
      const layout = layoutOf({ ...shape, fields: [[1, 12, 4, 0, 0]] });
      for (const order of ['n0', '-n0', 'n0 % 7']) {
        const sql = `SELECT records(?, 'text', ${order}, n0) FROM packed(?, 1)`;
        const [bytes] = rows(db, sql, layout, numbers).flat();
        assert(Buffer.isBuffer(bytes) && bytes.length === 3000 * 32);
        const found = Array.from({ length: 3000 }, (_, at) => bytes.readUInt32LE(at * 32 + 12));
        const wanted = rows(db, `SELECT n0 FROM packed(?, 1) ORDER BY ${order}, n0`, numbers);
        assert.deepEqual(found, wanted.flat());
      }
      const fewer = layoutOf({ ...shape, rowsMax: 2999, fields: [] });
      const sql = "SELECT records(?, 'text', n0) FROM packed(?, 1)";
      assert.throws(() => rows(db, sql, fewer, numbers), { code: 'SQLITE_TOOBIG' });
    },
  },
  {
    name: 'records: a layout that does not fit is refused, as is text that is not bytes',
    run: (db) => {
      const fits = { fixed: 16, lengthAt: 8, numberAt: 0, first: 0, key: 0, fields: [] };
      const wrongs = [
        { ...fits, key: 1 },
        { ...fits, lengthAt: 13 },
        { ...fits, numberAt: 9 },
        { ...fits, fixed: 257 },
        { ...fits, fields: Array.from({ length: 65 }, () => [0, 0, 1, 0, 0]) },
        ...[
          [1, 0, 1, 0, 0],
          [0, 16, 1, 0, 0],
          [0, 9, 8, 0, 0],
          [0, 0, 3, 0, 0],
          [0, 0, 8, 0, 64],
          [0, 0, 8, 0, -64],
        ].map((field) => ({ ...fits, fields: [field] })),
      ].map(layoutOf);
      const right = layoutOf(fits);
      const sql = 'SELECT records(?, ?, 1)';
      assert.equal(rows(db, sql, right, 'text').length, 1);
      for (const wrong of [...wrongs, right.subarray(1), Buffer.alloc(0), null])
        assert.throws(() => rows(db, sql, wrong, 'text'), { code: 'SQLITE_MISUSE' });
      for (const text of ['\u{100}', '€', '😀', null])
        assert.throws(() => rows(db, sql, right, text), { code: 'SQLITE_MISUSE' });
      assert.throws(() => rows(db, 'SELECT records(?, ?)', right, 'text'), {
        code: 'SQLITE_MISUSE',
      });
    },
  },
  {
    name: 'no view of a file that somebody has made can use it',
    run: (db) => {
      db.exec("CREATE VIEW v AS SELECT n0 FROM packed(x'0000000000000000', 1)");
      assert.throws(() => rows(db, 'SELECT * FROM v'), { code: 'SQLITE_ERROR' });
    },
  },
];
