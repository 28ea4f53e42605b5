/** Two workers end together only where the longest files are not the last: they begin first, the longest of them first. */
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Of a minute and more. */
const LONG = [
  'story/crash-power',
  'story/crash-kill',
  'vm/',
  'unit/archive/tape',
  'story/crash-',
  'story/attack',
  'story/unfinished',
  'e2e/tools',
];

export default class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    return sorted.toSorted((a, b) => rank(a) - rank(b));
  }
}

function rank({ moduleId }: TestSpecification): number {
  const index = LONG.findIndex((part) => moduleId.includes(`/test/${part}`));
  return index < 0 ? LONG.length : index;
}
