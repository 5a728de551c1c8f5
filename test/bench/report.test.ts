/** The page of a report: the curves and bars that saved outcomes make, and a page that needs nothing else. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Outcome, Section } from '../../bench/load/outcome.ts';
import { pageOf } from '../../bench/report/page.ts';
import { comparisonsOf, plotsOf } from '../../bench/report/plots.ts';

type Options = Outcome['options'];

function outcome(scenario: string, server: string, options: Options, section: Partial<Section>, more: Partial<Outcome> = {}): Outcome {
  const measured = { name: scenario, unit: 'message', operations: 100, seconds: 1, perSecond: 100, generatorMicros: 5, ...section };
  return { scenario, server, options, sections: [measured], faults: {}, examples: [], at: '2026-01-01T00:00:00Z', ...more };
}

const latency = (p50: number) => ({ p50, p90: p50, p99: p50 * 10, p999: p50 * 10, max: p50 * 10 });

const OUTCOMES = [
  outcome('chat-rate', 'rookery', { rate: 2_000 }, { latency: latency(300), serverMicros: 20 }),
  outcome('chat-rate', 'rookery', { rate: 1_000 }, { latency: latency(100), serverMicros: 30 }),
  outcome('chat-rate', 'rookery', { rate: 1_000 }, { latency: latency(300), serverMicros: 40 }),
  outcome('chat-rate', '</script>', { rate: 2_000 }, { latency: latency(900), serverMicros: 80 }, { faults: { lost: 7 } }),
  outcome('idle', 'rookery', { sessions: 100, security: 'starttls' }, { bytesEach: 20_480, unit: 'session' }),
  outcome('chat', 'rookery x 1', {}, { serverMicros: 10, perSecond: 5_000 }, { workers: 1 }),
  outcome('chat', 'rookery x 2', {}, { serverMicros: 11, perSecond: 9_000 }, { workers: 2 }),
];

test('curves: points in order, medians of repetitions, gaps where a server has no figure', () => {
  const plots = plotsOf(OUTCOMES);
  assert.deepEqual(
    plots.map(({ title }) => title),
    ['Latency against rate', 'CPU against rate', 'Memory against sessions', 'Workers: chat'],
  );
  assert.deepEqual(plots[0]!.x, [1_000, 2_000]);
  assert.deepEqual(plots[0]!.series[0], { label: 'rookery p50', values: [0.2, 0.3] });
  assert.deepEqual(plots[1]!.series, [
    { label: 'rookery', values: [35, 20] },
    { label: '</script>', values: [null, 80] },
  ]);
  assert.deepEqual(plots[2]!.series, [{ label: 'rookery, TLS', values: [20] }]);
  assert.deepEqual(plots[3]!.series, [
    { label: 'messages/s, thousands', values: [5, 9] },
    { label: 'us of CPU each', values: [10, 11] },
  ]);
});

test('without saved outcomes of a kind there is no plot of it', () => {
  assert.deepEqual(plotsOf([]), []);
  assert.deepEqual(comparisonsOf([]), []);
});

test('the page holds the plots, the bars and what failed, loads nothing, and names are text', async () => {
  const page = await pageOf([{ machine: '2 x <CPU>', outcomes: OUTCOMES }]);
  assert.match(page, /<h2>Latency against rate<\/h2>/);
  assert.match(page, /2 x &lt;CPU&gt;/);
  assert.match(page, /chat-rate, &lt;\/script&gt;: 7 lost/);
  assert.equal(page.match(/<script/g)!.length, 2);
  assert.equal(page.match(/<\/script>/g)!.length, 2);
  assert.doesNotMatch(page, /(?:src|href)=/);
  const [, data] = /<script type="application\/json" id="plots">(.*?)<\/script>/s.exec(page)!;
  assert.equal((JSON.parse(data!) as unknown[]).length, 4);
});
