/** What a micro bench found: a table for people, or with `--json` what `compare.ts` reads. */

export interface Result {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
}

export interface MicroResults {
  readonly node: string;
  readonly results: readonly Result[];
}

const isJson = process.argv.includes('--json');
const results: Result[] = [];
if (isJson) process.once('exit', () => console.log(JSON.stringify({ node: process.version, results } satisfies MicroResults)));

/** Names are the same from run to run, and no two of a file are equal. */
export function report(name: string, value: number, unit: string): void {
  results.push({ name, value, unit });
  if (!isJson) console.log(`${name.padEnd(60)} ${value.toFixed(value < 100 ? 3 : 1).padStart(10)} ${unit}`);
}

/** Nanoseconds of one call: the best of several rounds, since the machine is shared and the best is what the code costs. */
export function measureNs(calls: number, run: (i: number) => void, rounds = 7): number {
  let best = Infinity;
  for (let round = 0; round < rounds; round++) {
    const start = process.hrtime.bigint();
    for (let i = 0; i < calls; i++) run(i);
    best = Math.min(best, Number(process.hrtime.bigint() - start) / calls);
  }
  return best;
}
