import { join } from 'node:path';
import { describeSanitized } from '../../../sim/sanitized.ts';
import { CHECKS } from './packed.check.ts';

describeSanitized('sqlite', {
  program: join(import.meta.dirname, 'packed.run.ts'),
  checks: CHECKS.length,
});
