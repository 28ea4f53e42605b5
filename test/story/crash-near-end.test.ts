/** kill -9 and power cuts while an archive is torn at the end of a tape and another one completes it. A failure is a seed. */
import { describeCuts, NEAR_END } from '../sim/power/story.ts';

describeCuts('process', NEAR_END, 10);
describeCuts('power', NEAR_END, 10);
