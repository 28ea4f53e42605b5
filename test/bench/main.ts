/**
 * Numbers, each beside a peer measured in the same run: `npm run bench`. Machines are noisy: read the ratios, and the
 * processor time beside the wall.
 */
import { virtualDrive } from './virtual-drive.ts';

await virtualDrive();
