/** Runs the door's list against one build, without a test runner: node door.run.ts ADDON. */
import { CHECKS, runCheck } from './door.list.ts';

const addonPath = process.argv[2];
if (addonPath === undefined) throw new Error('name the addon');
for (const check of CHECKS) {
  await runCheck(check, addonPath);
  console.log(`ok ${check.name}`);
}
