/** Outcomes and progress for people. */
import type { WriteStream } from 'node:tty';
import type { Progress } from './coordinator.ts';
import type { Outcome, Section } from './outcome.ts';

/** A number with about three digits that matter. */
export function figure(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString('en');
  return value.toFixed(value >= 10 ? 1 : 2);
}

export const ms = (us: number): string => figure(us / 1_000);

/** Columns of equal width, the first to the left and the others to the right. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  return rows
    .map((row) => row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!))).join('  '))
    .map((line) => line.trimEnd())
    .join('\n');
}

const HEADINGS = ['', 'per second', 'server us', 'generator us', 'p50 ms', 'p90 ms', 'p99 ms', 'p99.9 ms', 'max ms', 'KiB each'];

export function sectionCells({ perSecond, serverMicros, generatorMicros, latency, bytesEach }: Section): string[] {
  const latencies =
    latency === undefined ? ['', '', '', '', ''] : (['p50', 'p90', 'p99', 'p999', 'max'] as const).map((each) => ms(latency[each]));
  return [
    figure(perSecond),
    serverMicros === undefined ? '' : figure(serverMicros),
    figure(generatorMicros),
    ...latencies,
    bytesEach === undefined ? '' : figure(bytesEach / 1_024),
  ];
}

export function printOutcome(outcome: Outcome): void {
  const rows = outcome.sections.map((section) => [
    `${section.name}: ${figure(section.operations)} ${section.unit}s`,
    ...sectionCells(section),
  ]);
  console.log(table([HEADINGS, ...rows]));
  for (const { name, lateness } of outcome.sections) {
    if (lateness !== undefined)
      console.log(`${name}: the generator was late by p50 ${ms(lateness.p50)} ms, p99 ${ms(lateness.p99)} ms (part of the latencies)`);
  }
  printFaults(outcome);
}

export function printFaults({ faults, examples }: Outcome): void {
  const told = Object.entries(faults).map(([fault, count]) => `${count} ${fault}`);
  if (told.length === 0) return;
  console.log(`FAILED: ${told.join(', ')}`);
  for (const example of examples) console.log(`  ${example.slice(0, 300)}`);
}

/** One line that is written over, on terminals only. */
export class ProgressLine {
  private readonly out: WriteStream;
  private last = { counted: 0, atMs: performance.now() };
  private perSecond = 0;

  constructor(out: WriteStream) {
    this.out = out;
  }

  show(title: string, { doing, counted }: Progress): void {
    if (!this.out.isTTY) return;
    const now = performance.now();
    this.perSecond = ((counted - this.last.counted) * 1_000) / (now - this.last.atMs);
    this.last = { counted, atMs: now };
    const rate = counted === 0 ? '' : `  ${figure(counted)} so far, ${figure(this.perSecond)}/s`;
    this.out.write(`\r\x1b[K${`${title}: ${doing}${rate}`.slice(0, this.out.columns - 1)}`);
  }

  clear(): void {
    if (this.out.isTTY) this.out.write('\r\x1b[K');
  }
}
