/** Commands about external components. */
import { z } from 'zod';
import { tableOf } from '../core/arguments.ts';
import { defineCommand } from '../core/command.ts';
import { workerOperation, type WorkerOperation } from '../core/operations.ts';
import { timeText } from './session.ts';

/** One connection of a component. */
export interface ComponentRow {
  /** Of its section in the configuration, or of the router's user. */
  readonly name: string;
  /** `component`: XEP-0114. `router`: jabberd2's. */
  readonly protocol: 'component' | 'router';
  /** Domains and other names it has bound. */
  readonly names: readonly string[];
  readonly worker: number;
  readonly remoteAddress: string;
  /** Milliseconds since the epoch. */
  readonly sinceMs: number;
  /** Unsent output. */
  readonly queuedBytes: number;
  readonly stanzasIn: number;
  readonly stanzasOut: number;
}

/** Those of one worker; what is registered there knows them. */
export function componentRows(rows: () => ComponentRow[]): WorkerOperation<undefined, ComponentRow[]> {
  return workerOperation('component.rows', rows);
}

interface ComponentStatus {
  readonly name: string;
  readonly connections: readonly ComponentRow[];
}

export const componentList = defineCommand({
  name: 'component list',
  summary: 'List external components and their connections',
  role: 'admin',
  args: z.strictObject({}),
  async run(_args, _caller, server): Promise<{ readonly components: readonly ComponentStatus[] }> {
    const rows = (
      await server.everyWorker(
        componentRows(() => []),
        undefined,
      )
    ).flat();
    const configured = Object.keys(server.config.components);
    const others = rows.flatMap(({ name }) => (configured.includes(name) ? [] : [name]));
    const names = [...new Set([...configured, ...others])].sort();
    return { components: names.map((name) => ({ name, connections: rows.filter((row) => row.name === name) })) };
  },
  report: ({ components }) =>
    tableOf(
      components.flatMap(({ name, connections }) =>
        connections.length === 0 ? [{ name, row: undefined }] : connections.map((row) => ({ name, row: row as ComponentRow | undefined })),
      ),
      'No components are configured.',
      {
        COMPONENT: ({ name }) => name,
        STATE: ({ row }) => (row === undefined ? 'not connected' : 'connected'),
        PROTOCOL: ({ row }) => row?.protocol ?? '',
        NAMES: ({ row }) => row?.names.join(' ') ?? '',
        FROM: ({ row }) => row?.remoteAddress ?? '',
        SINCE: ({ row }) => (row === undefined ? '' : timeText(row.sinceMs)),
        QUEUE: ({ row }) => row?.queuedBytes ?? 0,
        IN: ({ row }) => row?.stanzasIn ?? 0,
        OUT: ({ row }) => row?.stanzasOut ?? 0,
      },
    ),
});
