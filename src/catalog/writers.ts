/**
 * Which processes write the catalog, so that an unclean end is noticed.
 *
 * A process is named by boot, pid and start time: a pid that was given anew after a crash is not taken for the old one.
 * Within another pid namespace a living writer looks dead; the cost is an integrity check too many.
 */
import { readFileSync } from 'node:fs';
import { errnoOf } from '../base/errors.ts';

export function ownProcess(): string {
  return processName(process.pid) ?? `unknown:${process.pid}:0`;
}

/**
 * Of a name with more parts only these three count. Where it cannot be asked for, as with no descriptor left, it lives: nothing is taken from one of whom nothing is known.
 * @param boot known to who asks often
 */
export function isAlive(name: string, boot?: string): boolean {
  try {
    const [itsBoot, pid, start] = name.split(':');
    return processName(Number(pid), boot) === `${itsBoot}:${pid}:${start}`;
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return true;
  }
}

/** `BOOT:PID:START`, undefined when there is no such process. */
function processName(pid: number, knownBoot?: string): string | undefined {
  try {
    const boot = knownBoot ?? readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // proc(5): the program's name stands in parentheses and may hold anything; the start time is the 20th field behind it.
    const start = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
    return `${boot}:${pid}:${start ?? ''}`;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ESRCH') return undefined;
    throw error;
  }
}
