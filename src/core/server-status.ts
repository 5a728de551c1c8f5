/** What the server tells operators of itself: plain data, which the command line shows. */

export interface ListenerStatus {
  /** `c2s`, `c2s_tls`, `s2s`, `component`, `http`, `https`. */
  readonly kind: string;
  readonly port: number;
}

export interface WorkerStatus {
  readonly worker: number;
  readonly state: 'starting' | 'running' | 'restarting' | 'stopping';
  /** Since the server started. */
  readonly restarts: number;
  readonly connections: number;
  readonly sessions: number;
  /** Delay of the event loop, 99th percentile since the last look. */
  readonly loopDelayP99Ms: number;
  readonly heapBytes: number;
}

export interface ServerStatus {
  readonly version: string;
  readonly nodeVersion: string;
  readonly pid: number;
  /** Milliseconds since the epoch. */
  readonly startedAtMs: number;
  readonly isStopping: boolean;
  readonly dataDir: string;
  readonly hosts: readonly string[];
  readonly listen: readonly string[];
  readonly listeners: readonly ListenerStatus[];
  readonly workers: readonly WorkerStatus[];
  readonly pool: { readonly threads: number; readonly queued: number; readonly completed: number };
  readonly rssBytes: number;
}

/** How many actors of a kind there are on one worker. */
export interface ActorKindFigures {
  readonly count: number;
  readonly restarts: number;
  /** Messages in their mailboxes. */
  readonly queued: number;
}

export interface TopWorker extends WorkerStatus {
  /** Counted since the worker started, e.g. `stanzasIn`. */
  readonly counters: Readonly<Record<string, number>>;
  readonly actors: Readonly<Record<string, ActorKindFigures>>;
}

export interface TopActor {
  readonly worker: number;
  readonly id: number;
  readonly kind: string;
  readonly state: string;
  /** Whose actor it is, e.g. a bare JID. */
  readonly what: string;
  readonly queued: number;
  readonly queuedBytes: number;
  readonly restarts: number;
}

/** One look at the running server. */
export interface TopFrame {
  /** Milliseconds since the epoch. */
  readonly atMs: number;
  readonly workers: readonly TopWorker[];
  /** The fullest mailboxes first. */
  readonly actors: readonly TopActor[];
  readonly rssBytes: number;
}

/** What a reload changed, and what waits for new connections or a restart. */
export interface ReloadResult {
  readonly changes: readonly { readonly path: string; readonly reload: 'now' | 'new connections' | 'restart' }[];
}

/** What a backup is. */
export interface BackupResult {
  /** Absolute path, on the server's machine. */
  readonly directory: string;
  readonly accounts: number;
  readonly bytes: number;
  readonly durationMs: number;
}
