/**
 * Time as far as there is a witness for it: what retention counts the age of snapshots in.
 *
 * A clock that leaps ahead makes all that is old seem older. Nobody can tell a leap from a machine that was off; but a pause
 * between two snapshots of a length that never was before is no reason to give anything up. So a pause counts for no more than the
 * second longest before it: what was seen twice is the habit of the shelf. Age counted so is never more than the clock's, and
 * once the pauses are what they always were, equal to it.
 */

const DAY_SECONDS = 86_400;

/**
 * @param seconds of all snapshots there ever were, since the epoch, ascending
 * @returns for each the moment from which its age counts: never before it, and of the newest its own
 */
export function witnessedSeconds(seconds: readonly number[]): number[] {
  const counted = countedPauses(seconds);
  const moments = [...seconds];
  for (let index = seconds.length - 2; index >= 0; index -= 1)
    moments[index] = (moments[index + 1] ?? 0) - (counted[index] ?? 0);
  return moments;
}

/** Between each and the next. */
function countedPauses(seconds: readonly number[]): number[] {
  // As long as nothing is known of the shelf's habit.
  let longest = 0;
  let secondLongest = 0;
  return seconds.slice(1).map((to, index) => {
    const pause = to - (seconds[index] ?? 0);
    const mostSeconds = index < 2 ? DAY_SECONDS : secondLongest;
    if (pause > longest) [longest, secondLongest] = [pause, longest];
    else secondLongest = Math.max(secondLongest, pause);
    return Math.min(pause, mostSeconds);
  });
}
