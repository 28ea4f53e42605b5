/** Suites that take minutes in the virtual machine and are no part of `npm test`: `npm run soak`. */
import { runInMachine, whyNoMachine } from './machine.ts';

const reason = whyNoMachine();
if (reason !== undefined) {
  console.error(`no virtual machine here: ${reason}`);
  process.exit(1);
}
const results = await runInMachine(['backup', 'backup-long', 'care']);
for (const { name, state, messages } of results) {
  console.log(`${state}: ${name}`);
  for (const message of messages) console.log(message);
}
const failed = results.filter(({ state }) => state !== 'passed').length;
console.log(`${results.length - failed} passed, ${failed} failed, 0 skipped`);
process.exitCode = failed === 0 ? 0 : 1;
