import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { Questions } from '../../../../src/catalog/run-db/questions.ts';
import { RunDb } from '../../../../src/catalog/run-db/run-db.ts';
import { processes } from '../../../sim/operator-world.ts';
import { question } from '../../../sim/question.ts';
import { scratchDirectory } from '../scratch.ts';

const { id: _id, askedMs: _askedMs, ...ASKED } = question();

function table() {
  const runDb = RunDb.open(join(scratchDirectory(), 'run.db'));
  onTestFinished(() => runDb.close());
  return runDb;
}

test('a question is read as it was asked, by every process; ids are never used again', () => {
  const runDb = table();
  const mine = new Questions(runDb, processes('mine'));
  const theirs = new Questions(runDb, processes('theirs'));
  const posted = mine.post(ASKED, 12.7);
  expect(posted).toEqual({ ...ASKED, id: 1, askedMs: 12 });
  expect(theirs.open()).toEqual([posted]);
  expect(theirs.get(1)).toEqual(posted);
  mine.remove(1);
  expect(theirs.open()).toEqual([]);
  expect(theirs.get(1)).toBeUndefined();
  expect(mine.post(ASKED, 13).id).toBe(2);
});

test('the first answer counts; an answered question is not open', () => {
  const runDb = table();
  const questions = new Questions(runDb, processes('mine'));
  const { id } = questions.post(ASKED, 1);
  expect(questions.answerOf(id)).toBeUndefined();
  expect(questions.answer(id, 'retry', 100)).toBe(true);
  expect(questions.answer(id, 'decline', 101)).toBe(false);
  expect(questions.answerOf(id)).toBe('retry');
  expect(questions.open()).toEqual([]);
  expect(questions.answeredSince(100).map((answered) => answered.id)).toEqual([id]);
  expect(questions.answeredSince(101)).toEqual([]);
  expect(questions.answer(99, 'retry', 1)).toBe(false);
});

test('what a dead process asked is asked by nobody; answered ones are not kept for ever', () => {
  const runDb = table();
  const dead = new Questions(runDb, processes('dead'));
  const { id } = dead.post(ASKED, 1);
  const later = new Questions(runDb, processes('later', new Set(['dead'])));
  expect([later.open(), later.get(id)]).toEqual([[], undefined]);
  later.forgetDead();
  expect(dead.open()).toEqual([]);
  const first = later.post(ASKED, 2);
  later.answer(first.id, 'retry', 3);
  for (let more = 0; more < 100; more += 1) later.remove(later.post(ASKED, 4).id);
  expect(later.answerOf(first.id)).toBeUndefined();
});
