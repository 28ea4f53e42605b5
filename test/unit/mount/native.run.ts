/** Runs the door's list against one build, without a test runner: node native.run.ts ADDON [WORDS OF A CHECK'S NAME]. */
import { runCheck } from './native.check.ts';
import { CHECKS } from './native.list.ts';

const [, , addonPath, words = ''] = process.argv;
if (addonPath === undefined) throw new Error('name the addon');
for (const check of CHECKS) {
  if (!check.name.includes(words)) continue;
  await runCheck(check, addonPath);
  console.log(`ok ${check.name}`);
}
