/** `rookery status` and the lists, as text. */
import type { ServerStatus, SessionRow, UserRow, WorkerStatus } from '../control/command-types.ts';
import { printable } from './io.ts';
import { humanBytes, humanDuration, humanTime, renderTable } from './table.ts';
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

const USER_COLUMNS: readonly Column<UserRow>[] = [
  { title: 'ADDRESS', value: ({ address }) => address },
  { title: 'STATE', value: ({ isEnabled }) => (isEnabled ? 'enabled' : 'disabled') },
  { title: 'SESSIONS', value: ({ sessions }) => sessions },
];

const SESSION_COLUMNS: readonly Column<SessionRow>[] = [
  { title: 'ADDRESS', value: ({ address }) => address },
  { title: 'PRIORITY', value: ({ priority }) => priority ?? '–' },
  { title: 'FROM', value: ({ remoteAddress }) => remoteAddress },
  { title: 'TLS', value: ({ isSecure }) => (isSecure ? 'yes' : 'no') },
  { title: 'SINCE', value: ({ sinceMs }) => humanTime(sinceMs) },
  { title: 'AWAY SINCE', value: ({ detachedAtMs }) => (detachedAtMs === undefined ? '' : humanTime(detachedAtMs)) },
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

export function renderUsers(users: readonly UserRow[]): string[] {
  return renderTable(USER_COLUMNS, users);
}

export function renderSessions(sessions: readonly SessionRow[]): string[] {
  return renderTable(SESSION_COLUMNS, sessions);
}
