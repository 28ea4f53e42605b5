/** kill -9 and power cuts while an archive is torn at the end of a tape and another one completes it. A failure is a seed. */
import { describeCuts, NEAR_END } from '../sim/power/story.ts';
import { seedCount } from '../sim/seeds.ts';

describeCuts('process', NEAR_END, seedCount({ usual: 1, soak: 10 }));
describeCuts('power', NEAR_END, seedCount({ usual: 1, soak: 10 }));
