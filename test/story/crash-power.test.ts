/** A power cut at 30 random points of a backup: what was not synced is lost, or kept, by chance. A failure is a seed. */
import { describeCuts } from '../sim/power/story.ts';

describeCuts('power', 30);
