/** A power cut at 30 random points of a backup, as crash-kill: what was not synced is lost, or kept, by chance. A failure is a seed. */
import { describeCuts, FIRST, SECOND, TWO_COPIES } from '../sim/power/story.ts';

describeCuts('power', SECOND, 30);
describeCuts('power', FIRST, 4);
describeCuts('power', TWO_COPIES, 4);
