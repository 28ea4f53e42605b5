import { join } from 'node:path';
import { describeSanitized } from '../../sim/sanitized.ts';
import { CHECKS } from './door.list.ts';

describeSanitized('fs', {
  program: join(import.meta.dirname, 'door.run.ts'),
  checks: CHECKS.length,
});
