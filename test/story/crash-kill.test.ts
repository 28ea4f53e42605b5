/** kill -9 at 30 random points of a backup, and at a few of the very first and of one onto two cartridges. A failure is a seed. */
import { describeCuts, FIRST, SECOND, TWO_COPIES } from '../sim/power/story.ts';

describeCuts('process', SECOND, 30);
describeCuts('process', FIRST, 4);
describeCuts('process', TWO_COPIES, 4);
