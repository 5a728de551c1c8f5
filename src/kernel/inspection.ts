import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { ActorRef, BounceReason, Message } from './actor.ts';
import type { BridgeReport } from './peer.ts';
import { RECOVERING, RESERVED, STARTING, STOPPING } from './cell.ts';
import type { Cell } from './cell.ts';
import type { KernelParts } from './parts.ts';

/** All actors of one machine. */
export interface MachineReport {
  readonly name: string;
  readonly count: number;
  /** Of those that run now. */
  readonly restarts: number;
  /** Messages in their mailboxes, and in the fullest one. */
  readonly queued: number;
  readonly queuedBytes: number;
  readonly deepest: number;
  /** Turns that wait for a barrier. */
  readonly heldTurns: number;
}

/** One worker at one moment; plain data. */
export interface Inspection {
  readonly worker: number;
  readonly actors: number;
  readonly machines: readonly MachineReport[];
  /** Since the worker started. */
  readonly turns: number;
  readonly slices: number;
  readonly started: number;
  readonly ended: number;
  readonly crashes: number;
  readonly restarts: number;
  readonly bounced: Readonly<Record<BounceReason, number>>;
  /** Since the last inspection. */
  readonly turnsPerSecond: number;
  /** Now. */
  readonly timers: number;
  readonly asks: number;
  readonly openAsks: number;
  readonly tasks: number;
  /** Held by actors here, and on actors here. */
  readonly monitors: number;
  readonly watchers: number;
  readonly bridges: readonly BridgeReport[];
  /** How late the event loop was, over the last ten seconds or more; 0 on a clock that is not the system's. */
  readonly loopDelayP50Ms: number;
  readonly loopDelayP99Ms: number;
  readonly loopDelayMaxMs: number;
}

/** One actor at one moment; plain data. */
export interface ActorReport {
  readonly ref: ActorRef<Message>;
  readonly name: string;
  /** Its state, or what keeps it from having one: `starting`, `recovering`, `stopping`. */
  readonly state: string;
  /** What `describe` says; '' where it says nothing. */
  readonly description: string;
  readonly queued: number;
  readonly queuedBytes: number;
  readonly restarts: number;
}

export interface ListQuery {
  /** Name of a machine; all without it. */
  readonly kind?: string | undefined;
  readonly limit?: number | undefined;
}

/** Figures of the loop delay are kept at least this long. */
const DELAY_WINDOW_MS = 10_000;
const DELAY_RESOLUTION_MS = 10;
const NS_PER_MS = 1e6;

/** Looks at a kernel from outside. Cost of each look: O(actors). */
export class Inspector {
  readonly #parts: KernelParts;
  readonly #delay: ReturnType<typeof monitorEventLoopDelay> | undefined;
  readonly #nowMs: () => number;
  #delaySinceMs: number;
  #lastMs: number;
  #lastTurns = 0;

  constructor(parts: KernelParts, options: { isMeasuringLoop: boolean; nowMs: () => number }) {
    this.#parts = parts;
    this.#nowMs = options.nowMs;
    this.#lastMs = this.#delaySinceMs = options.nowMs();
    if (options.isMeasuringLoop) {
      this.#delay = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS });
      this.#delay.enable();
    }
  }

  inspect(): Inspection {
    const { worker, slots, scheduler, counters, delivery, wheel, asks, bridges } = this.#parts;
    const machines = new Map<string, { -readonly [K in keyof MachineReport]: MachineReport[K] }>();
    let openAsks = 0;
    let monitors = 0;
    let watchers = 0;
    for (const cell of slots.cells) {
      if (cell === undefined) continue;
      openAsks += cell.openAsks?.size ?? 0;
      monitors += cell.watching?.size ?? 0;
      watchers += cell.watchers?.size ?? 0;
      const { name } = cell.machine;
      let report = machines.get(name);
      if (report === undefined)
        machines.set(name, (report = { name, count: 0, restarts: 0, queued: 0, queuedBytes: 0, deepest: 0, heldTurns: 0 }));
      const { messages, bytes } = cell.mailbox;
      report.count++;
      report.restarts += cell.restarts;
      report.queued += messages;
      report.queuedBytes += bytes;
      report.deepest = Math.max(report.deepest, messages);
      report.heldTurns += cell.held?.turns ?? 0;
    }
    const { turns, tasks, ...totals } = counters;
    return {
      worker,
      actors: slots.size,
      machines: [...machines.values()].sort((one, other) => (one.name < other.name ? -1 : 1)),
      turns,
      slices: scheduler.slices,
      ...totals,
      bounced: { ...delivery.bounced },
      turnsPerSecond: this.#turnsPerSecond(turns),
      timers: wheel.size - asks.size,
      asks: asks.size,
      openAsks,
      tasks,
      monitors,
      watchers,
      bridges: bridges.report(),
      ...this.#loopDelay(),
    };
  }

  /** The fullest mailboxes first. */
  list({ kind, limit = Infinity }: ListQuery = {}): ActorReport[] {
    const cells: Cell[] = [];
    for (const cell of this.#parts.slots.cells)
      if (cell !== undefined && (kind === undefined || cell.machine.name === kind)) cells.push(cell);
    cells.sort((one, other) => other.mailbox.messages - one.mailbox.messages || one.id - other.id);
    return cells.slice(0, limit).map(reportOf);
  }

  close(): void {
    this.#delay?.disable();
  }

  #turnsPerSecond(turns: number): number {
    const nowMs = this.#nowMs();
    const seconds = (nowMs - this.#lastMs) / 1000;
    const rate = seconds > 0 ? (turns - this.#lastTurns) / seconds : 0;
    this.#lastMs = nowMs;
    this.#lastTurns = turns;
    return rate;
  }

  #loopDelay(): Pick<Inspection, 'loopDelayP50Ms' | 'loopDelayP99Ms' | 'loopDelayMaxMs'> {
    const delay = this.#delay;
    if (delay === undefined || delay.count === 0) return { loopDelayP50Ms: 0, loopDelayP99Ms: 0, loopDelayMaxMs: 0 };
    // The histogram's samples are the whole interval between two looks, not only what it was late.
    const late = (ns: number): number => Math.max(0, ns / NS_PER_MS - DELAY_RESOLUTION_MS);
    const figures = {
      loopDelayP50Ms: late(delay.percentile(50)),
      loopDelayP99Ms: late(delay.percentile(99)),
      loopDelayMaxMs: late(delay.max),
    };
    const nowMs = this.#nowMs();
    if (nowMs - this.#delaySinceMs >= DELAY_WINDOW_MS) {
      delay.reset();
      this.#delaySinceMs = nowMs;
    }
    return figures;
  }
}

function reportOf(cell: Cell): ActorReport {
  const { messages, bytes } = cell.mailbox;
  return {
    ref: cell.ref,
    name: cell.machine.name,
    state: phaseName(cell) ?? cell.state,
    description: cell.describe() ?? '',
    queued: messages,
    queuedBytes: bytes,
    restarts: cell.restarts,
  };
}

function phaseName({ phase }: Cell): string | undefined {
  switch (phase) {
    case RESERVED:
    case STARTING:
      return 'starting';
    case RECOVERING:
      return 'recovering';
    case STOPPING:
      return 'stopping';
    default:
      return undefined;
  }
}
