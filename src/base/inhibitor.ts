/** Keeps the machine awake while somebody waits for bytes from a tape: a drive that falls asleep in mid-read is a failed read. */
import { spawn } from 'node:child_process';

export interface Inhibitor {
  /** Until the function it gives is called. Where nothing can keep the machine awake it does nothing. */
  hold(why: string): () => void;
}

export const noInhibitor: Inhibitor = { hold: () => () => {} };

/**
 * By systemd-inhibit(1), which holds as long as the program it runs: `cat`, whose input is ours. So it ends with us, however we
 * end. Where systemd does not answer, or refuses, the machine may sleep.
 * @param program its path; undefined where there is none
 */
export function systemdInhibitor(program: string | undefined): Inhibitor {
  if (program === undefined) return noInhibitor;
  return {
    hold(why) {
      const options = ['--what=sleep', '--mode=block', '--who=shelfs', `--why=${why}`];
      const child = spawn(program, [...options, 'cat'], { stdio: ['pipe', 'ignore', 'ignore'] });
      // A machine without logind, a program that is gone: reads go on all the same.
      child.on('error', () => {});
      child.stdin.on('error', () => {});
      child.unref();
      return () => child.stdin.end();
    },
  };
}
