/**
 * The servers a drill can be held on: started over a directory of their own, killed, and started again on the same data and ports.
 */
import { callControl } from '../../src/control/client.ts';
import { controlPath } from '../../src/control/protocol.ts';
import { inParallel } from '../load/client.ts';
import { prepareServer } from '../servers/index.ts';
import type { ServerOptions } from '../servers/options.ts';
import { ServerProcesses } from '../servers/process.ts';

export const TARGETS = ['rookery', 'prosody', 'ejabberd'] as const;
export type TargetName = (typeof TARGETS)[number];

const CREATION_WIDTH = 8;

/** An actor that was made to crash. */
export interface CrashedActor {
  readonly worker: number;
  readonly kind: string;
  /** Whose it was: a full or bare JID. */
  readonly what: string;
}

export class DrillServer extends ServerProcesses {
  declare readonly name: TargetName;

  /** Registration is not open on Rookery, which takes the operator's word. */
  override async createAccounts(locals: readonly string[], password: string): Promise<void> {
    if (this.name !== 'rookery') return super.createAccounts(locals, password);
    await inParallel(locals, CREATION_WIDTH, async (local) => {
      await callControl(controlPath(this.directory), 'user add', { address: `${local}@${this.target.domain}`, password });
    });
  }

  /** Makes actors of one kind throw; only for Rookery in drill mode. */
  crashActors(args: {
    readonly kind: string;
    readonly count: number;
    readonly moment: 'now' | 'next_message';
    /** Only those whose description begins with it. */
    readonly whose?: string;
  }): Promise<CrashedActor[]> {
    return this.drillCommand('drill crash', args) as Promise<CrashedActor[]>;
  }

  /** Ends a worker thread as a crash would. Without a number: any. */
  killWorker(worker?: number): Promise<{ readonly worker: number }> {
    return this.drillCommand('drill kill-worker', worker === undefined ? {} : { worker }) as Promise<{ readonly worker: number }>;
  }

  /** Commands for drills are in no list of commands, so their types are not either. */
  private drillCommand(name: string, args: unknown): Promise<unknown> {
    const call = callControl as unknown as (path: string, name: string, args: unknown) => Promise<unknown>;
    return call(controlPath(this.directory), name, args);
  }
}

/** A server with no accounts, that runs. */
export async function startServer(name: TargetName, options: ServerOptions): Promise<DrillServer> {
  const { target, directory, setup } = await prepareServer(name, 'drill', { ...options, mode: options.mode ?? '1' });
  const server = new DrillServer(name, target, directory, setup);
  try {
    await server.start();
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
  return server;
}
