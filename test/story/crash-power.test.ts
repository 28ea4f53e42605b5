/** A power cut at random points of a backup, as crash-kill: what was not synced is lost, or kept, by chance. A failure is a seed. */
import { describeCuts, FIRST, SECOND, TWO_COPIES } from '../sim/power/story.ts';
import { seedCount } from '../sim/seeds.ts';

describeCuts('power', SECOND, seedCount({ usual: 5, soak: 30 }));
describeCuts('power', FIRST, seedCount({ usual: 1, soak: 8 }));
describeCuts('power', TWO_COPIES, seedCount({ usual: 1, soak: 8 }));
