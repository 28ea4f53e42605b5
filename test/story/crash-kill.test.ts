/** kill -9 at random points of a backup, and at a few of the very first and of one onto two cartridges. A failure is a seed. */
import { describeCuts, FIRST, SECOND, TWO_COPIES } from '../sim/power/story.ts';
import { seedCount } from '../sim/seeds.ts';

describeCuts('process', SECOND, seedCount({ usual: 5, soak: 30 }));
describeCuts('process', FIRST, seedCount({ usual: 1, soak: 8 }));
describeCuts('process', TWO_COPIES, seedCount({ usual: 1, soak: 8 }));
