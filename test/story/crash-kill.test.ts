/** kill -9 at 30 random points of a backup. A failure is a seed. */
import { describeCuts } from '../sim/power/story.ts';

describeCuts('process', 30);
