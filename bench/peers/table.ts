/** The peers' table: medians of the repetitions, and how many times what Rookery needs the others need. */
import type { Percentiles } from '../load/histogram.ts';
import type { Outcome, Section } from '../load/outcome.ts';
import { hasFaults } from '../load/outcome.ts';
import { figure, ms, table } from '../load/print.ts';

/** One section of one entry on one server. */
export interface Row {
  readonly title: string;
  readonly section: string;
  readonly unit: string;
  readonly server: string;
  readonly perSecond: number;
  readonly serverMicros: number;
  readonly generatorMicros: number;
  readonly latency: Percentiles | undefined;
  readonly bytesEach: number | undefined;
  /** Repetitions in which something was lost, doubled, out of order or refused. */
  readonly failures: number;
  readonly repetitions: number;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** In the order in which they were run first. */
export function rowsOf(outcomes: readonly Outcome[]): Row[] {
  const groups = new Map<string, { readonly outcome: Outcome; readonly sections: Section[]; failures: number }>();
  for (const outcome of outcomes) {
    for (const section of outcome.sections) {
      const name = JSON.stringify([titleOf(outcome), section.name, outcome.server]);
      const group = groups.get(name) ?? { outcome, sections: [], failures: 0 };
      groups.set(name, group);
      group.sections.push(section);
      if (hasFaults(outcome)) group.failures++;
    }
  }
  return [...groups.values()].map(({ outcome, sections, failures }) => {
    const [first] = sections;
    const of = (value: (section: Section) => number | undefined): number => median(sections.map(value).map((each) => each ?? Number.NaN));
    const percentile = (which: keyof Percentiles): number => of(({ latency }) => latency?.[which]);
    return {
      title: titleOf(outcome),
      section: first!.name,
      unit: first!.unit,
      server: outcome.server,
      perSecond: of((each) => each.perSecond),
      serverMicros: of((each) => each.serverMicros),
      generatorMicros: of((each) => each.generatorMicros),
      latency:
        first!.latency === undefined
          ? undefined
          : { p50: percentile('p50'), p90: percentile('p90'), p99: percentile('p99'), p999: percentile('p999'), max: percentile('max') },
      bytesEach: first!.bytesEach === undefined ? undefined : of((each) => each.bytesEach),
      failures,
      repetitions: sections.length,
    };
  });
}

const titleOf = ({ title, scenario }: Outcome): string => title ?? scenario;

const times = (value: number): string => (Number.isFinite(value) ? `x ${value >= 10 ? value.toFixed(0) : value.toFixed(1)}` : '');

/** By heading: the title, and the section where a scenario has several. */
export function sectionsOf(rows: readonly Row[]): Map<string, Row[]> {
  const named = Map.groupBy(rows, ({ title }) => title);
  const isAlone = (title: string): boolean => new Set(named.get(title)!.map(({ section }) => section)).size === 1;
  return Map.groupBy(rows, ({ title, section }) => (isAlone(title) ? title : `${title}: ${section}`));
}

/** Each section with its servers; ratios are to the first server. */
export function printTable(rows: readonly Row[]): string {
  return [...sectionsOf(rows)]
    .map(([title, group]) => {
      const [first] = group;
      const head = [
        `${title} (${first!.unit}s)`,
        'per second',
        '',
        'server us',
        '',
        'p50 ms',
        'p99 ms',
        'p99.9 ms',
        'KiB each',
        '',
        'generator us',
      ];
      const lines = group.map((row) => {
        const { latency, bytesEach } = row;
        return [
          `  ${row.server}${row.failures > 0 ? ` (failed ${row.failures} of ${row.repetitions})` : ''}`,
          figure(row.perSecond),
          row === first ? '' : times(first!.perSecond / row.perSecond),
          figure(row.serverMicros),
          row === first ? '' : times(row.serverMicros / first!.serverMicros),
          latency === undefined ? '' : ms(latency.p50),
          latency === undefined ? '' : ms(latency.p99),
          latency === undefined ? '' : ms(latency.p999),
          bytesEach === undefined ? '' : figure(bytesEach / 1_024),
          bytesEach === undefined || row === first ? '' : times(bytesEach / first!.bytesEach!),
          figure(row.generatorMicros),
        ];
      });
      return table([head, ...lines]);
    })
    .join('\n\n');
}
