/** `rookery status`, as text. */
import type { ServerStatus, WorkerStatus } from '../core/server-status.ts';
import { printable } from './io.ts';
import { humanBytes, humanDuration, renderTable } from './table.ts';
import type { Column } from './table.ts';

const WORKER_COLUMNS: readonly Column<WorkerStatus>[] = [
  { title: 'WORKER', value: ({ worker }) => worker },
  { title: 'STATE', value: ({ state }) => state },
  { title: 'CONNECTIONS', value: ({ connections }) => connections },
  { title: 'SESSIONS', value: ({ sessions }) => sessions },
  { title: 'RESTARTS', value: ({ restarts }) => restarts },
  { title: 'LOOP p99', value: ({ loopDelayP99Ms }) => `${loopDelayP99Ms.toFixed(1)} ms` },
  { title: 'HEAP', value: ({ heapBytes }) => humanBytes(heapBytes) },
];

/** One screen. */
export function renderStatus(status: ServerStatus, nowMs: number): string[] {
  const where = status.listeners.map(({ kind, port }) => `${kind} ${port}`).join(', ');
  const facts: [string, string][] = [
    [
      'Server',
      `Rookery ${status.version}, process ${status.pid}, up ${humanDuration(nowMs - status.startedAtMs)}${status.isStopping ? ', stopping' : ''}`,
    ],
    ['Hosts', status.hosts.join(', ')],
    ['Listening', where === '' ? 'nowhere' : `${where} (on ${status.listen.join(', ')})`],
    ['Data', status.dataDir],
    ['Memory', humanBytes(status.rssBytes)],
    ['Pool', `${status.pool.threads} threads, ${status.pool.queued} waiting, ${status.pool.completed} done`],
  ];
  return [...facts.map(([name, text]) => `${`${name}:`.padEnd(11)}${printable(text)}`), '', ...renderTable(WORKER_COLUMNS, status.workers)];
}
