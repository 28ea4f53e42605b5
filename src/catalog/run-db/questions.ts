/**
 * Questions to the operator, in run.db, so that any process can list and answer them. The first answer counts.
 *
 * A question belongs to the process that asked: without it nobody waits, and it is forgotten. A job that is gone on with
 * asks anew.
 */
import { strict as assert } from 'node:assert';
import { type Answer, type NewQuestion, type Question, readAnswer } from '../../domain/question.ts';
import type { Processes, RunDb } from './run-db.ts';

type Row = [id: number, process: string, askedMs: number, question: string];

/** Answered ones are kept so long that who answers too late is told so. */
const ANSWERED_KEPT = 100;

export class Questions {
  readonly #db: RunDb;
  readonly #processes: Processes;
  readonly #post;
  readonly #open;
  readonly #since;
  readonly #get;
  readonly #answerOf;
  readonly #answer;
  readonly #remove;
  readonly #forget;

  constructor(db: RunDb, processes: Processes) {
    this.#db = db;
    this.#processes = processes;
    this.#post = db.prepare<[number]>(
      'INSERT INTO questions(process, asked_ms, question) VALUES(?, ?, ?) RETURNING id',
    );
    this.#open = db.prepare<Row>(
      'SELECT id, process, asked_ms, question FROM questions WHERE answer IS NULL ORDER BY id',
    );
    this.#since = db.prepare<Row>(
      'SELECT id, process, asked_ms, question FROM questions WHERE answered_ms >= ? ORDER BY id',
    );
    this.#get = db.prepare<Row>(
      'SELECT id, process, asked_ms, question FROM questions WHERE id = ?',
    );
    this.#answerOf = db.prepare<[string | null]>('SELECT answer FROM questions WHERE id = ?');
    this.#answer = db.prepare(
      'UPDATE questions SET answer = ?, answered_ms = ? WHERE id = ? AND answer IS NULL',
    );
    this.#remove = db.prepare('DELETE FROM questions WHERE id = ?');
    this.#forget = db.prepare('DELETE FROM questions WHERE answer IS NOT NULL AND id <= ?');
  }

  /** Asks, in the name of this process. */
  post(question: NewQuestion, nowMs: number): Question {
    const askedMs = Math.floor(nowMs);
    return this.#db.write(() => {
      const id = this.#post.get(this.#processes.own, askedMs, JSON.stringify(question))?.[0];
      assert(id !== undefined);
      this.#forget.run(id - ANSWERED_KEPT);
      return { ...question, id, askedMs };
    });
  }

  /** Those that somebody waits for, the oldest first. */
  open(): Question[] {
    const rows = this.#open.all();
    return rows.filter((row) => this.#isAsked(row)).map(toQuestion);
  }

  /** Those that were answered since then, in ms since the epoch: what answered them may be about to be used. */
  answeredSince(sinceMs: number): Question[] {
    const rows = this.#since.all(Math.floor(sinceMs));
    return rows.filter((row) => this.#isAsked(row)).map(toQuestion);
  }

  /** Undefined where nobody has answered, or there is no such question. */
  answerOf(id: number): Answer | undefined {
    const text = this.#answerOf.get(id)?.[0];
    return text ? readAnswer(text) : undefined;
  }

  /** @returns the question, answered or not; undefined where nobody asks it any more */
  get(id: number): Question | undefined {
    const row = this.#get.get(id);
    return row && this.#isAsked(row) ? toQuestion(row) : undefined;
  }

  /** @returns false where it was answered before, or is no more */
  answer(id: number, answer: Answer, nowMs: number): boolean {
    return this.#db.write(() => this.#answer.run(answer, Math.floor(nowMs), id).changes > 0);
  }

  /** Nobody waits for the answer any more. */
  remove(id: number): void {
    this.#db.write(() => this.#remove.run(id));
  }

  /** Takes away what processes asked that are no more. */
  forgetDead(): void {
    const dead = this.#open.all().filter((row) => !this.#isAsked(row));
    if (dead.length === 0) return;
    this.#db.write(() => {
      for (const [id] of dead) this.#remove.run(id);
    });
  }

  #isAsked([, process]: Row): boolean {
    return process === this.#processes.own || this.#processes.isAlive(process);
  }
}

function toQuestion([id, , askedMs, text]: Row): Question {
  const question: NewQuestion = JSON.parse(text);
  return { ...question, id, askedMs };
}
