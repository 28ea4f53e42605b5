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

/**
 * Not there any more, or dead and nobody has asked for its status. Unlike of one that `isAlive` says is not, a thread of it may
 * yet be on its way out of the kernel.
 */
export function hasEnded(name: string): boolean {
  return !isAlive(name) || /^[ZX]/.test(statFields(Number(name.split(':')[1]))?.[0] ?? 'X');
}

/** `BOOT:PID:START`, undefined when there is no such process. */
function processName(pid: number, knownBoot?: string): string | undefined {
  const boot = knownBoot ?? readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  const fields = statFields(pid);
  // proc(5): the start time is the 20th field behind the name.
  return fields && `${boot}:${pid}:${fields[19] ?? ''}`;
}

/** What /proc says of a process behind its name, which stands in parentheses and may hold anything; its state is the first. */
function statFields(pid: number): string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ESRCH') return undefined;
    throw error;
  }
}
