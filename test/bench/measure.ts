/** Times two things in turn, A B A B ..., so that a machine whose speed drifts treats both alike. */

export type Measured = { readonly wallSeconds: number; readonly cpuSeconds: number };

export type Pair = { readonly ours: Measured; readonly peer: Measured; readonly wallRatio: number };

/** Medians of `times` pairs after one that warms caches and compiler; the ratio is the median of the pairs' own. */
export async function compare(
  times: number,
  ours: () => Promise<void>,
  peer: () => Promise<void>,
): Promise<Pair> {
  const pairs: { ours: Measured; peer: Measured }[] = [];
  for (let run = 0; run <= times; run += 1) {
    const pair = { ours: await timed(ours), peer: await timed(peer) };
    if (run > 0) pairs.push(pair);
  }
  const typical = (who: 'ours' | 'peer'): Measured => ({
    wallSeconds: median(pairs.map((pair) => pair[who].wallSeconds)),
    cpuSeconds: median(pairs.map((pair) => pair[who].cpuSeconds)),
  });
  return {
    ours: typical('ours'),
    peer: typical('peer'),
    wallRatio: median(pairs.map((pair) => pair.ours.wallSeconds / pair.peer.wallSeconds)),
  };
}

export function report(name: string, bytes: number, { ours, peer, wallRatio }: Pair): void {
  const figures = ({ wallSeconds, cpuSeconds }: Measured) =>
    `${(bytes / wallSeconds / 1e9).toFixed(2)} GB/s, cpu ${(cpuSeconds / (bytes / 1e9)).toFixed(2)} s/GB`;
  console.log(
    `${name}: ${figures(ours)} | peer ${figures(peer)} | wall ratio ${wallRatio.toFixed(2)}`,
  );
}

async function timed(work: () => Promise<void>): Promise<Measured> {
  const cpu = process.cpuUsage();
  const start = performance.now();
  await work();
  const wallSeconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  return { wallSeconds, cpuSeconds: (user + system) / 1e6 };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
