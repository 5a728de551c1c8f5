import type { AskTable } from './asks.ts';
import type { Bridges } from './bridge.ts';
import type { Cell } from './cell.ts';
import type { Delivery } from './delivery.ts';
import type { Life } from './life.ts';
import type { KernelLimits } from './limits.ts';
import type { SegmentPool } from './mailbox.ts';
import type { KernelObserver } from './observer.ts';
import type { Entity, Registry } from './registry.ts';
import type { Runner } from './runner.ts';
import type { Scheduler } from './scheduler.ts';
import type { Slots } from './slots.ts';
import type { TimerWheel } from './timers.ts';
import type { TurnBuffer } from './turn.ts';
import type { Watches } from './watches.ts';

/** What one kernel is made of, as its parts see each other. The Kernel puts it together and is the only one to change it. */
export interface KernelParts {
  readonly node: number;
  readonly worker: number;
  readonly limits: KernelLimits;
  readonly observer: KernelObserver;
  readonly slots: Slots;
  readonly pool: SegmentPool;
  readonly scheduler: Scheduler;
  readonly wheel: TimerWheel;
  readonly registry: Registry;
  readonly asks: AskTable;
  readonly bridges: Bridges;
  readonly delivery: Delivery;
  readonly watches: Watches;
  readonly turn: TurnBuffer;
  readonly runner: Runner;
  readonly life: Life;
  readonly counters: Counters;
  startEntity(entity: Entity, key: string): Cell | undefined;
}

/** Totals since the kernel started. */
export interface Counters {
  /** State functions run. */
  turns: number;
  started: number;
  ended: number;
  crashes: number;
  restarts: number;
  /** Running now. */
  tasks: number;
}
