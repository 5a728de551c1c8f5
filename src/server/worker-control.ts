/**
 * What the main thread and a worker ask of each other, by Comlink over the worker's message
 * port. Control only: no stanza ever takes this way.
 */
import type { MessagePort } from 'node:worker_threads';
import type { Config } from '../config/config.ts';
import type { PasswordPool } from '../core/context.ts';
import type { CommandOutcome, PlainCaller } from '../core/command.ts';
import type { AccountRequest, OperationAnswer } from '../core/operations.ts';
import type { CrashMoment } from '../kernel/kernel.ts';
import type { TlsHost } from '../net/credentials.ts';
import type { BareJid } from '../xmpp/jid.ts';

/** What a worker is started with; crosses by structured clone. */
export interface WorkerStart {
  readonly index: number;
  readonly workers: number;
  readonly config: Config;
  /** Certificate files of the hosts, in their order. */
  readonly tlsHosts: readonly TlsHost[];
  /** 32 bytes; see TlsSettings. */
  readonly ticketSecret: Uint8Array;
  /** 32 bytes; see Services.secret. */
  readonly secret: Uint8Array;
  /** The event loop counts up here (Atomics): the watchdog's view of it. */
  readonly heartbeat: SharedArrayBuffer;
}

/** Where the server listens, by kind; empty where off. */
export interface ListeningPorts {
  readonly c2s: readonly number[];
  readonly c2sTls: readonly number[];
  readonly component: readonly number[];
  readonly s2s: readonly number[];
  readonly s2sTls: readonly number[];
  readonly router: readonly number[];
}

/** Before a worker listens. */
export const NO_PORTS: ListeningPorts = { c2s: [], c2sTls: [], component: [], router: [], s2s: [], s2sTls: [] };

/** One worker's figures at one moment. */
export interface WorkerFigures {
  readonly worker: number;
  readonly connections: number;
  readonly sessions: number;
  readonly counters: Readonly<Record<string, number>>;
  /** Connections ended, by reason. */
  readonly closed: Readonly<Record<string, number>>;
  readonly actors: Readonly<Record<string, { readonly count: number; readonly restarts: number; readonly queued: number }>>;
  readonly loopDelayP99Ms: number;
  readonly heapBytes: number;
}

export interface ActorView {
  readonly worker: number;
  readonly id: number;
  readonly kind: string;
  readonly state: string;
  readonly what: string;
  readonly queued: number;
  readonly queuedBytes: number;
  readonly restarts: number;
}

/** Nothing is under way where, at two looks one after the other, nothing waits on any worker and none has done anything between. */
export interface Activity {
  /** Messages in mailboxes, turns that wait for the store, envelopes not posted yet. */
  readonly waiting: number;
  /** Turns of actors. */
  readonly turns: number;
}

/** A worker, as the main thread sees it. */
export interface WorkerControl {
  /** Opens the store and makes everything ready but the listeners. Rejects with a sentence for the operator. */
  start(): Promise<void>;
  /**
   * Accepts clients from now on; by then the worker must be joined to its peers.
   *
   * @param ports those that an earlier worker, or life of this one, listens on; undefined: by the configuration.
   */
  listen(ports: ListeningPorts | undefined): Promise<ListeningPorts>;
  /** The way to another worker: new, or in place of one that died. */
  connectPeer(worker: number, port: MessagePort): void;
  peerDown(worker: number): void;
  ask(bare: string, request: AccountRequest): Promise<unknown>;
  /** Runs a worker operation; see `core/operations.ts`. */
  operate(operation: string, args: unknown): Promise<OperationAnswer>;
  figures(): WorkerFigures;
  /** The fullest mailboxes first. */
  actors(kind: string | undefined, limit: number): ActorView[];
  /** Bare JIDs of accounts that live on this worker and have sessions. */
  sessionOwners(): BareJid[];
  /** @param config as running, with what may change; `tlsHosts`: certificate files of the hosts, in their order. */
  reload(config: Config, tlsHosts: readonly TlsHost[]): void;
  /** Takes no more clients and says goodbye to those that are there; resolves when they are gone, or the time for it is over. */
  closeClients(): Promise<void>;
  /** What waits here, and how much was done so far; see Activity. */
  activity(): Activity;
  /** Accounts that a crash has interrupted go on; resolves when all have been told. */
  wakeAccounts(): Promise<void>;
  /** Accounts whose log is to be trimmed do so; resolves with their number when all have been told. */
  sweepLogs(): Promise<number>;
  /** `closeClients`, then lets what is under way end; resolves when all is durable. */
  drain(): Promise<void>;
  /** For drills: makes an actor throw, at once or in place of handling its next message. */
  crashActor(id: number, moment: CrashMoment): boolean;
}

/** The main thread, as a worker sees it. */
export interface MainControl extends PasswordPool {
  /** Log lines, gathered. */
  log(lines: readonly string[]): void;
  /** Runs a command; see CommandPort. */
  command(name: string, args: unknown, caller: PlainCaller): Promise<CommandOutcome>;
}
