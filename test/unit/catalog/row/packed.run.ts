/** Runs the list of native/sqlite against one build, without a test runner: node packed.run.ts EXTENSION. */
import { CHECKS, runCheck } from './packed.check.ts';

const [, , file] = process.argv;
if (file === undefined) throw new Error('name the extension');
for (const check of CHECKS) {
  runCheck(check, file);
  console.log(`ok ${check.name}`);
}
