/** Prints failures in full, names every skip, and closes with `N passed, N failed, N skipped`. */
import type { SerializedError } from 'vitest';
import type { TestCase, TestModule, TestSuite } from 'vitest/node';
import { DefaultReporter } from 'vitest/node';

export default class ClosingLineReporter extends DefaultReporter {
  override reportSummary(): void {}

  override onTestRunEnd(
    modules: ReadonlyArray<TestModule>,
    errors: ReadonlyArray<SerializedError>,
    reason: 'passed' | 'failed' | 'interrupted',
  ): void {
    super.onTestRunEnd(modules, errors, reason);
    const count = { passed: 0, failed: errors.length, skipped: 0 };
    for (const module of modules) {
      if (module.errors().length > 0) this.#fail(count, module, module.moduleId);
      for (const suite of module.children.allSuites()) {
        if (suite.errors().length > 0) this.#fail(count, suite, suite.fullName);
      }
      for (const test of module.children.allTests()) this.#add(count, test);
    }
    // A run that was cut short, or that fails for a cause no test shows, must not look green.
    if (reason !== 'passed' && count.failed === 0) count.failed = 1;
    this.log(`${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`);
  }

  #add(count: { passed: number; failed: number; skipped: number }, test: TestCase): void {
    const result = test.result();
    if (result.state === 'passed') {
      count.passed += 1;
    } else if (result.state === 'skipped') {
      count.skipped += 1;
      this.log(`skipped: ${test.fullName}: ${result.note ?? 'no reason given'}`);
    } else {
      this.#fail(count, test, test.fullName);
      for (const error of result.errors ?? []) this.log(error.stack ?? error.message);
    }
  }

  #fail(count: { failed: number }, entity: TestCase | TestModule | TestSuite, name: string): void {
    count.failed += 1;
    this.log(`failed: ${name}`);
    if (entity.type === 'test') return;
    for (const error of entity.errors()) this.log(error.stack ?? error.message);
  }
}
