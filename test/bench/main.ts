/**
 * Numbers, each beside a peer measured in the same run: `npm run bench`. Machines are noisy: read the ratios, and the
 * processor time beside the wall.
 */
import { catalog } from './catalog.ts';
import { virtualDrive } from './virtual-drive.ts';

await virtualDrive();
await catalog(Number(process.argv[2] ?? 1_000_000));
