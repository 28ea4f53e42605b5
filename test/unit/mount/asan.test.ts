import { join } from 'node:path';
import { describeSanitized } from '../../sim/sanitized.ts';
import { CHECKS } from './native.list.ts';

describeSanitized('fuse', {
  program: join(import.meta.dirname, 'native.run.ts'),
  checks: CHECKS.length,
});
