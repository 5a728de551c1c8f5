/**
 * Metrics in Prometheus' text form. Workers count in plain fields and send snapshots of them;
 * this registry, on the main thread, makes totals of those, also across restarts of a worker.
 */
import { Counter, Gauge, Registry } from 'prom-client';

/** Everything there is to measure: the README's table is made from it. Labels beside these are never added. */
export const METRICS = {
  rookery_connections: { type: 'gauge', labels: ['worker'], help: 'Client connections open now.' },
  rookery_sessions: { type: 'gauge', labels: ['worker'], help: 'Sessions (bound resources) now.' },
  rookery_actors: { type: 'gauge', labels: ['worker', 'kind'], help: 'Actors alive now.' },
  rookery_mailbox_messages: { type: 'gauge', labels: ['worker', 'kind'], help: 'Messages waiting in mailboxes now.' },
  rookery_event_loop_delay_seconds: {
    type: 'gauge',
    labels: ['worker'],
    help: 'Delay of the event loop, 99th percentile since the last snapshot.',
  },
  rookery_heap_bytes: { type: 'gauge', labels: ['worker'], help: 'JavaScript heap in use.' },
  rookery_resident_memory_bytes: { type: 'gauge', labels: [], help: 'Memory of the whole process.' },
  rookery_pool_queued: { type: 'gauge', labels: [], help: 'Jobs waiting for a thread of the pool.' },
  rookery_start_time_seconds: { type: 'gauge', labels: [], help: 'When the server started, in seconds since the epoch.' },
  rookery_events_total: {
    type: 'counter',
    labels: ['event'],
    help: 'What connections did: accepted, authenticated, loginFailures, bound, stanzasIn, stanzasOut, … of clients; componentsAccepted, componentStanzasIn, … of components.',
  },
  rookery_connections_closed_total: { type: 'counter', labels: ['reason'], help: 'Connections ended, by reason.' },
  rookery_actor_restarts_total: { type: 'counter', labels: ['kind'], help: 'Actors restarted after a crash.' },
  rookery_worker_restarts_total: { type: 'counter', labels: ['worker'], help: 'Worker threads restarted.' },
  rookery_pool_jobs_total: { type: 'counter', labels: [], help: 'Jobs the pool has done.' },
} as const satisfies Record<string, { readonly type: 'gauge' | 'counter'; readonly labels: readonly string[]; readonly help: string }>;

export type MetricName = keyof typeof METRICS;

/** One worker's figures at one moment; plain data. Counters count from the worker's start. */
export interface WorkerSnapshot {
  readonly worker: number;
  /** Goes up when the worker thread is replaced, and its counters start from zero. */
  readonly restarts: number;
  readonly connections: number;
  readonly sessions: number;
  readonly counters: Readonly<Record<string, number>>;
  readonly closed: Readonly<Record<string, number>>;
  readonly actors: Readonly<Record<string, { readonly count: number; readonly restarts: number; readonly queued: number }>>;
  readonly loopDelayP99Ms: number;
  readonly heapBytes: number;
}

/** Figures of the process as a whole. */
export interface ProcessSnapshot {
  readonly rssBytes: number;
  readonly startedAtMs: number;
  readonly pool: { readonly queued: number; readonly completed: number };
}

/** The registry. One per process; it keeps no history but the last value of each counter. */
export class Metrics {
  private readonly registry = new Registry();
  private readonly gauges = new Map<MetricName, Gauge>();
  private readonly counters = new Map<MetricName, Counter>();
  /** Last value seen, by metric, worker and label: what to subtract. */
  private readonly seen = new Map<string, { readonly epoch: number; readonly value: number }>();

  constructor() {
    for (const name of Object.keys(METRICS) as MetricName[]) {
      const { type, labels, help } = METRICS[name];
      const configuration = { name, help, labelNames: [...labels], registers: [this.registry] };
      if (type === 'gauge') this.gauges.set(name, new Gauge(configuration));
      else this.counters.set(name, new Counter(configuration));
    }
  }

  /** What an HTTP answer with `text()` declares. */
  get contentType(): string {
    return this.registry.contentType;
  }

  /** Takes in all workers' figures of one moment; a worker that is not among them has no gauges until it is back. */
  update(workers: readonly WorkerSnapshot[], process: ProcessSnapshot): void {
    for (const name of [
      'rookery_connections',
      'rookery_sessions',
      'rookery_actors',
      'rookery_mailbox_messages',
      'rookery_event_loop_delay_seconds',
      'rookery_heap_bytes',
    ] as const) {
      this.gauges.get(name)!.reset();
    }
    for (const snapshot of workers) this.updateWorker(snapshot);
    this.set('rookery_resident_memory_bytes', {}, process.rssBytes);
    this.set('rookery_start_time_seconds', {}, process.startedAtMs / 1_000);
    this.set('rookery_pool_queued', {}, process.pool.queued);
    this.count('rookery_pool_jobs_total', {}, '', 0, process.pool.completed);
  }

  /** Prometheus' text exposition format. */
  text(): Promise<string> {
    return this.registry.metrics();
  }

  private updateWorker(snapshot: WorkerSnapshot): void {
    const worker = String(snapshot.worker);
    const epoch = snapshot.restarts;
    this.set('rookery_connections', { worker }, snapshot.connections);
    this.set('rookery_sessions', { worker }, snapshot.sessions);
    this.set('rookery_event_loop_delay_seconds', { worker }, snapshot.loopDelayP99Ms / 1_000);
    this.set('rookery_heap_bytes', { worker }, snapshot.heapBytes);
    this.count('rookery_worker_restarts_total', { worker }, worker, 0, snapshot.restarts);
    for (const [event, value] of Object.entries(snapshot.counters)) this.count('rookery_events_total', { event }, worker, epoch, value);
    for (const [reason, value] of Object.entries(snapshot.closed))
      this.count('rookery_connections_closed_total', { reason }, worker, epoch, value);
    for (const [kind, { count, queued, restarts }] of Object.entries(snapshot.actors)) {
      this.set('rookery_actors', { worker, kind }, count);
      this.set('rookery_mailbox_messages', { worker, kind }, queued);
      this.count('rookery_actor_restarts_total', { kind }, worker, epoch, restarts);
    }
  }

  private set(name: MetricName, labels: Record<string, string>, value: number): void {
    this.gauges.get(name)!.set(labels, value);
  }

  /** Adds what `value` grew by since it was last seen in the same life (`epoch`) of the worker; all of it in a new one. */
  private count(name: MetricName, labels: Record<string, string>, worker: string, epoch: number, value: number): void {
    const key = `${name} ${worker} ${Object.values(labels).join(' ')}`;
    const last = this.seen.get(key);
    const grown = last === undefined || last.epoch !== epoch ? value : value - last.value;
    this.seen.set(key, { epoch, value });
    // Zero makes the series appear, so that the first increase is seen as one.
    this.counters.get(name)!.inc(labels, Math.max(0, grown));
  }
}

/** The README's table of metrics, in Markdown. */
export function describeMetrics(): string {
  const rows = Object.entries(METRICS).map(
    ([name, { type, labels, help }]) => `| \`${name}\` | ${type} | ${labels.join(', ') || '–'} | ${help} |`,
  );
  return ['| Metric | Type | Labels | Meaning |', '| --- | --- | --- | --- |', ...rows].join('\n');
}
