/** What the page of a report shows, worked out from saved outcomes: curves over one option, and bars of the servers beside each other. */
import type { Percentiles } from '../load/histogram.ts';
import type { Outcome, Section } from '../load/outcome.ts';
import { median, rowsOf, sectionsOf, type Row } from '../peers/table.ts';

/** Curves over a common x axis. */
export interface Plot {
  readonly title: string;
  readonly note: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly isLogarithmic: boolean;
  /** Ascending. */
  readonly x: readonly number[];
  /** A value for each x; null where there is none. */
  readonly series: readonly { readonly label: string; readonly values: readonly (number | null)[] }[];
}

/** One section of a scenario on several servers. */
export interface Comparison {
  readonly title: string;
  readonly unit: string;
  readonly rows: readonly Row[];
}

interface Point {
  readonly label: string;
  readonly x: number;
  readonly y: number;
}

/** Plots that have something to show. */
export function plotsOf(outcomes: readonly Outcome[]): Plot[] {
  const plots = [latencyOverRate(outcomes), costOverRate(outcomes), memoryOverSessions(outcomes), ...scaling(outcomes)];
  return plots.filter(({ x }) => x.length > 0);
}

export function comparisonsOf(outcomes: readonly Outcome[]): Comparison[] {
  return [...sectionsOf(rowsOf(outcomes))].map(([title, rows]) => ({ title, unit: rows[0]!.unit, rows }));
}

function latencyOverRate(outcomes: readonly Outcome[]): Plot {
  const points = withScenario(outcomes, 'chat-rate').flatMap(({ outcome, section: { latency } }) =>
    latency === undefined
      ? []
      : (['p50', 'p99'] satisfies (keyof Percentiles)[]).map((which) => ({
          label: `${outcome.server} ${which}`,
          x: Number(outcome.options['rate']),
          y: latency[which] / 1_000,
        })),
  );
  return plotOf(points, {
    title: 'Latency against rate',
    note: 'One-to-one messages in an open loop; from when a message was due to its arrival.',
    xLabel: 'messages/s',
    yLabel: 'ms',
    isLogarithmic: true,
  });
}

function costOverRate(outcomes: readonly Outcome[]): Plot {
  const points = withScenario(outcomes, 'chat-rate').flatMap(({ outcome, section: { serverMicros } }) =>
    serverMicros === undefined ? [] : [{ label: outcome.server, x: Number(outcome.options['rate']), y: serverMicros }],
  );
  return plotOf(points, {
    title: 'CPU against rate',
    note: 'The server’s CPU time per one-to-one message, all threads and children.',
    xLabel: 'messages/s',
    yLabel: 'us per message',
    isLogarithmic: false,
  });
}

function memoryOverSessions(outcomes: readonly Outcome[]): Plot {
  const points = withScenario(outcomes, 'idle').flatMap(({ outcome: { server, options }, section: { bytesEach } }) =>
    bytesEach === undefined
      ? []
      : [{ label: options['security'] === 'none' ? server : `${server}, TLS`, x: Number(options['sessions']), y: bytesEach / 1_024 }],
  );
  return plotOf(points, {
    title: 'Memory against sessions',
    note: 'Growth of the proportional set size by each idle session.',
    xLabel: 'sessions',
    yLabel: 'KiB per session',
    isLogarithmic: false,
  });
}

/** For each scenario that was run with several numbers of workers. */
function scaling(outcomes: readonly Outcome[]): Plot[] {
  const withWorkers = outcomes.filter(({ workers }) => workers !== undefined);
  const byTitle = Map.groupBy(withWorkers, ({ title, scenario }) => title ?? scenario);
  return [...byTitle].flatMap(([title, group]) => {
    if (new Set(group.map(({ workers }) => workers)).size < 2) return [];
    const [first] = group[0]!.sections;
    if (first === undefined) return [];
    const points = group.flatMap(({ workers, sections: [section] }) => {
      if (section === undefined) return [];
      const { perSecond, serverMicros } = section;
      const cost = serverMicros === undefined ? [] : [{ label: 'us of CPU each', x: workers!, y: serverMicros }];
      return [{ label: `${first.unit}s/s, thousands`, x: workers!, y: perSecond / 1_000 }, ...cost];
    });
    const note = 'Throughput, and CPU of the server for each, by its worker threads.';
    return [plotOf(points, { title: `Workers: ${title}`, note, xLabel: 'workers', yLabel: '', isLogarithmic: false })];
  });
}

function withScenario(outcomes: readonly Outcome[], scenario: string): { readonly outcome: Outcome; readonly section: Section }[] {
  return outcomes
    .filter((each) => each.scenario === scenario)
    .flatMap((outcome) => outcome.sections.map((section) => ({ outcome, section })));
}

/** Repetitions of the same point become their median. */
function plotOf(points: readonly Point[], frame: Omit<Plot, 'x' | 'series'>): Plot {
  const x = [...new Set(points.map((point) => point.x))].toSorted((a, b) => a - b);
  const series = [...Map.groupBy(points, ({ label }) => label)].map(([label, group]) => ({
    label,
    values: x.map((each) => {
      const here = group.filter((point) => point.x === each).map(({ y }) => y);
      return here.length === 0 ? null : median(here);
    }),
  }));
  return { ...frame, x, series };
}
