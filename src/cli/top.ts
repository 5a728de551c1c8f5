/** `rookery top`: what the workers do, as it changes. */
import type { TopActor, TopFrame, TopWorker } from '../core/server-status.ts';
import type { CliIo } from './io.ts';
import { humanBytes, humanTime, renderTable } from './table.ts';
import type { Column } from './table.ts';

interface WorkerLine extends TopWorker {
  readonly inPerSecond: number;
  readonly outPerSecond: number;
}

interface KindLine {
  readonly kind: string;
  readonly count: number;
  readonly queued: number;
  readonly restarts: number;
}

const WORKERS: readonly Column<WorkerLine>[] = [
  { title: 'WORKER', value: ({ worker }) => worker },
  { title: 'STATE', value: ({ state }) => state },
  { title: 'CONN', value: ({ connections }) => connections },
  { title: 'SESS', value: ({ sessions }) => sessions },
  { title: 'IN/s', value: ({ inPerSecond }) => inPerSecond },
  { title: 'OUT/s', value: ({ outPerSecond }) => outPerSecond },
  { title: 'LOOP p99', value: ({ loopDelayP99Ms }) => `${loopDelayP99Ms.toFixed(1)} ms` },
  { title: 'HEAP', value: ({ heapBytes }) => humanBytes(heapBytes) },
  { title: 'RESTARTS', value: ({ restarts }) => restarts },
];

const KINDS: readonly Column<KindLine>[] = [
  { title: 'KIND', value: ({ kind }) => kind },
  { title: 'ACTORS', value: ({ count }) => count },
  { title: 'MAIL', value: ({ queued }) => queued },
  { title: 'RESTARTS', value: ({ restarts }) => restarts },
];

const ACTORS: readonly Column<TopActor>[] = [
  { title: 'ACTOR', value: ({ worker, id }) => `${worker}.${id}` },
  { title: 'KIND', value: ({ kind }) => kind },
  { title: 'STATE', value: ({ state }) => state },
  { title: 'MAIL', value: ({ queued }) => queued },
  { title: 'SIZE', value: ({ queuedBytes }) => humanBytes(queuedBytes) },
  { title: 'RESTARTS', value: ({ restarts }) => restarts },
  { title: 'WHAT', value: ({ what }) => what },
];

/** The counters that the rates are made of, as workers name them. */
const IN = 'stanzasIn';
const OUT = 'stanzasOut';

/** Lines of one look; rates against the look before, zero without one. */
export function renderTop(frame: TopFrame, before: TopFrame | undefined): string[] {
  const seconds = before === undefined ? 0 : (frame.atMs - before.atMs) / 1_000;
  const workers: WorkerLine[] = frame.workers.map((worker) => {
    const old = before?.workers.find((other) => other.worker === worker.worker && other.restarts === worker.restarts);
    const perSecond = (name: string) =>
      old === undefined || seconds <= 0 ? 0 : Math.max(0, Math.round(((worker.counters[name] ?? 0) - (old.counters[name] ?? 0)) / seconds));
    return { ...worker, inPerSecond: perSecond(IN), outPerSecond: perSecond(OUT) };
  });
  const sum = (value: (worker: WorkerLine) => number) => workers.reduce((total, worker) => total + value(worker), 0);
  const kinds = kindLines(frame.workers);
  return [
    `${humanTime(frame.atMs)}  ${sum((w) => w.connections)} connections, ${sum((w) => w.sessions)} sessions, ${sum((w) => w.inPerSecond)} stanzas/s in, ${sum((w) => w.outPerSecond)} out, ${humanBytes(frame.rssBytes)}`,
    '',
    ...renderTable(WORKERS, workers),
    ...(kinds.length === 0 ? [] : ['', ...renderTable(KINDS, kinds)]),
    ...(frame.actors.length === 0 ? [] : ['', ...renderTable(ACTORS, frame.actors)]),
  ];
}

function kindLines(workers: readonly TopWorker[]): KindLine[] {
  const kinds = new Map<string, KindLine>();
  for (const { actors } of workers) {
    for (const [kind, { count, queued, restarts }] of Object.entries(actors)) {
      const known = kinds.get(kind) ?? { kind, count: 0, queued: 0, restarts: 0 };
      kinds.set(kind, { kind, count: known.count + count, queued: known.queued + queued, restarts: known.restarts + restarts });
    }
  }
  return [...kinds.values()].sort((a, b) => b.count - a.count || (a.kind < b.kind ? -1 : 1));
}

const ENTER_SCREEN = '\u{1b}[?1049h\u{1b}[?25l';
const LEAVE_SCREEN = '\u{1b}[?25h\u{1b}[?1049l';
const HOME = '\u{1b}[H';
const CLEAR_LINE_END = '\u{1b}[K';
const CLEAR_BELOW = '\u{1b}[J';

/**
 * Shows frames until they end, `maxFrames` are shown, or on a terminal the person presses q or Ctrl-C.
 * On a terminal each takes the place of the one before; elsewhere they follow one another.
 */
export async function showTop(open: (signal: AbortSignal) => AsyncGenerator<TopFrame>, io: CliIo, maxFrames: number): Promise<void> {
  const leave = new AbortController();
  const frames = open(leave.signal);
  const isLive = io.stdout.isTTY === true && maxFrames > 1;
  const stop = isLive ? takeScreen(io) : undefined;
  let before: TopFrame | undefined;
  let shown = 0;
  try {
    for (;;) {
      const next = await (stop === undefined ? frames.next() : Promise.race([frames.next(), stop.pressed]));
      if (next === undefined || next.done === true) return;
      const lines = renderTop(next.value, before);
      before = next.value;
      io.stdout.write(
        isLive ? `${HOME}${fit(lines, io).join(`${CLEAR_LINE_END}\n`)}${CLEAR_LINE_END}${CLEAR_BELOW}` : `${lines.join('\n')}\n\n`,
      );
      if (++shown >= maxFrames) return;
    }
  } finally {
    stop?.restore();
    leave.abort();
  }
}

/** What fits on the screen: never a line that wraps, never one that scrolls. */
function fit(lines: readonly string[], { stdout }: CliIo): string[] {
  const columns = stdout.columns ?? 80;
  return lines.slice(0, (stdout.rows ?? 24) - 1).map((line) => Array.from(line).slice(0, columns).join(''));
}

function takeScreen({ stdin, stdout }: CliIo): { readonly pressed: Promise<undefined>; restore(): void } {
  let press: () => void = () => undefined;
  const pressed = new Promise<undefined>((resolve) => {
    press = () => resolve(undefined);
  });
  const onData = (keys: Buffer | string) => {
    if (/[qQ\u{3}\u{4}]/u.test(keys.toString())) press();
  };
  stdin.setRawMode?.(true);
  stdin.on('data', onData);
  stdin.on('end', press);
  stdin.resume();
  stdout.write(ENTER_SCREEN);
  return {
    pressed,
    restore() {
      stdin.off('data', onData);
      stdin.off('end', press);
      stdin.setRawMode?.(false);
      stdin.pause();
      stdout.write(LEAVE_SCREEN);
    },
  };
}
