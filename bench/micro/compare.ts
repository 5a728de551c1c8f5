/**
 * Micro benches, of this working tree alone or beside another commit: `npm run bench:micro [-- NAME…] [--compare REF] [--runs 5]`.
 *
 * The other commit is checked out into a temporary worktree; both sides run the benches of this tree, each on its own sources, in turn, so that
 * what the machine does meanwhile hits both. Medians of the runs. Exit code 1 where a bench does not run on the other sources.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { table } from '../load/print.ts';
import { median } from '../peers/table.ts';
import type { MicroResults, Result } from './results.ts';

const ROOT = resolve(import.meta.dirname, '../..');

/** Those of one function each, which say their figures by name; with what they are started. */
const BENCHES: Readonly<Record<string, readonly string[]>> = {
  xml: [],
  stanza: [],
  jid: [],
  hooks: [],
  kernel: [],
  link: [],
  presence: [],
  log: ['--entries=100000'],
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { compare: { type: 'string' }, runs: { type: 'string', default: '5' } },
});
const names = positionals.length === 0 ? Object.keys(BENCHES) : positionals;
const unknown = names.filter((name) => !(name in BENCHES));
if (unknown.length > 0) {
  console.error(`no micro bench ${unknown.join(', ')}: there are ${Object.keys(BENCHES).join(', ')}`);
  process.exitCode = 2;
} else if (values.compare === undefined) {
  for (const name of names) print(name, await medians([ROOT], name));
} else {
  await compare(values.compare);
}

async function compare(ref: string): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'rookery-micro-'));
  const other = join(directory, 'tree');
  const git = (...args: string[]): string => execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }).trim();
  try {
    git('worktree', 'add', '--detach', '--quiet', other, ref);
    symlinkSync(join(ROOT, 'node_modules'), join(other, 'node_modules'));
    cpSync(join(ROOT, 'bench'), join(other, 'bench'), { recursive: true });
    console.log(
      `this tree (${git('rev-parse', '--short', 'HEAD')}) and ${ref} (${git('rev-parse', '--short', ref)}), medians of ${values.runs} runs in turn`,
    );
    for (const name of names) {
      try {
        print(name, await medians([ROOT, other], name));
      } catch (error) {
        console.error(`\n${name}: ${(error as Error).message}`);
        process.exitCode = 1;
      }
    }
  } finally {
    git('worktree', 'remove', '--force', other);
    rmSync(directory, { recursive: true, force: true });
  }
}

interface Line {
  readonly name: string;
  readonly unit: string;
  /** One for each tree. */
  readonly values: readonly number[];
}

async function medians(trees: readonly string[], name: string): Promise<Line[]> {
  const found = trees.map((): (readonly Result[])[] => []);
  for (let round = 0; round < Number(values.runs); round++) {
    // Every other round begins with the other tree.
    for (const at of round % 2 === 0 ? [...trees.keys()] : [...trees.keys()].toReversed()) found[at]!.push(await runOnce(trees[at]!, name));
  }
  return found[0]![0]!.map((result) => ({
    name: result.name,
    unit: result.unit,
    values: found.map((runs) => median(runs.map((each) => each.find((other) => other.name === result.name)?.value ?? Number.NaN))),
  }));
}

async function runOnce(tree: string, name: string): Promise<readonly Result[]> {
  const child = spawn(process.execPath, [join(tree, 'bench/micro', `${name}.ts`), '--json', ...BENCHES[name]!], { cwd: tree });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0)
    throw new Error(
      `does not run on ${tree === ROOT ? 'this tree' : 'the other commit'}:\n${stderr.trim().split('\n').slice(0, 6).join('\n')}`,
    );
  return (JSON.parse(stdout) as MicroResults).results;
}

function print(name: string, lines: readonly Line[]): void {
  const short = (value: number): string => value.toFixed(value < 100 ? 2 : 0);
  const isComparison = lines[0]?.values.length === 2;
  const head = isComparison ? [name, 'this', 'other', '', ''] : [name, '', ''];
  const rows = lines.map(({ name: what, unit, values: [own, other] }) =>
    isComparison ? [what, short(own!), short(other!), unit, change(own! / other!)] : [what, short(own!), unit],
  );
  console.log(`\n${table([head, ...rows])}`);
}

function change(ratio: number): string {
  return `${ratio >= 1 ? '+' : ''}${((ratio - 1) * 100).toFixed(0)} %`;
}
