/** Where the file of a worker lies: beside its caller, compiled or not. */

/** @param name of the module without its ending, beside the module whose `import.meta.url` is given */
export function workerFile(callerUrl: string, name: string): URL {
  const ending = callerUrl.endsWith('.ts') ? '.ts' : '.js';
  return new URL(`./${name}${ending}`, callerUrl);
}
