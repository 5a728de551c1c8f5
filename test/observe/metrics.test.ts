import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeMetrics, METRICS, Metrics } from '../../src/observe/metrics.ts';
import type { WorkerSnapshot } from '../../src/observe/metrics.ts';

const PROCESS = { rssBytes: 1_000, startedAtMs: 5_000, pool: { queued: 1, completed: 10 } };

function snapshot(worker: number, changes: Partial<WorkerSnapshot> = {}): WorkerSnapshot {
  return {
    worker,
    restarts: 0,
    connections: 3,
    sessions: 2,
    counters: { stanzasIn: 10 },
    closed: { slow_consumer: 1 },
    actors: { c2s: { count: 3, restarts: 1, queued: 4 } },
    loopDelayP99Ms: 2,
    heapBytes: 500,
    ...changes,
  };
}

async function values(metrics: Metrics): Promise<Map<string, number>> {
  const lines = (await metrics.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]));
}

test('gauges are per worker, counters are totals over workers', async () => {
  const metrics = new Metrics();
  metrics.update([snapshot(0), snapshot(1, { connections: 7 })], PROCESS);
  const found = await values(metrics);
  assert.equal(found.get('rookery_connections{worker="1"}'), 7);
  assert.equal(found.get('rookery_events_total{event="stanzasIn"}'), 20);
  assert.equal(found.get('rookery_connections_closed_total{reason="slow_consumer"}'), 2);
  assert.equal(found.get('rookery_actor_restarts_total{kind="c2s"}'), 2);
  assert.equal(found.get('rookery_mailbox_messages{worker="0",kind="c2s"}'), 4);
  assert.equal(found.get('rookery_event_loop_delay_seconds{worker="0"}'), 0.002);
  assert.equal(found.get('rookery_pool_jobs_total'), 10);
  assert.equal(found.get('rookery_start_time_seconds'), 5);
});

test('counters only grow, by what they grew since the last snapshot, and go on when a worker is replaced', async () => {
  const metrics = new Metrics();
  const events = async () => (await values(metrics)).get('rookery_events_total{event="stanzasIn"}');
  metrics.update([snapshot(0, { counters: { stanzasIn: 10 } })], PROCESS);
  metrics.update([snapshot(0, { counters: { stanzasIn: 15 } })], PROCESS);
  assert.equal(await events(), 15);
  metrics.update([snapshot(0, { restarts: 1, counters: { stanzasIn: 20 } })], PROCESS);
  assert.equal(await events(), 35);
  assert.equal((await values(metrics)).get('rookery_worker_restarts_total{worker="0"}'), 1);
});

test('a worker that is gone has no gauges, and keeps its counters', async () => {
  const metrics = new Metrics();
  metrics.update([snapshot(0), snapshot(1)], PROCESS);
  metrics.update([snapshot(0)], PROCESS);
  const found = await values(metrics);
  assert.equal(found.has('rookery_connections{worker="1"}'), false);
  assert.equal(found.get('rookery_events_total{event="stanzasIn"}'), 20);
});

test('each metric has help and a type, in the text and in the table', async () => {
  const metrics = new Metrics();
  metrics.update([snapshot(0)], PROCESS);
  const text = await metrics.text();
  for (const [name, { type, help }] of Object.entries(METRICS)) {
    assert.ok(text.includes(`# HELP ${name} ${help}`), name);
    assert.ok(text.includes(`# TYPE ${name} ${type}`), name);
    assert.ok(describeMetrics().includes(`| \`${name}\` | ${type} |`));
  }
  assert.match(metrics.contentType, /^text\/plain/);
});
