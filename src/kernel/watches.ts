import type { ActorRef, ExitReason } from './actor.ts';
import type { Bridges } from './bridge.ts';
import { ENDED } from './cell.ts';
import type { Cell } from './cell.ts';
import type { Delivery } from './delivery.ts';
import { NOTICE, WATCH } from './mailbox.ts';
import { watchKey } from './slots.ts';
import type { Slots } from './slots.ts';
import { SmallMap } from './small-map.ts';

/** What a monitor of an actor that is not there is told. */
export const NO_ACTOR: ExitReason = Object.freeze({ kind: 'killed', why: 'no_actor' });

export interface WatchParts {
  readonly node: number;
  readonly worker: number;
  readonly slots: Slots;
  readonly delivery: Delivery;
  readonly bridges: Bridges;
}

/**
 * Monitors. The watching actor keeps whom it watches, the watched one who watches it; where they live on
 * different workers each side is kept there, and a worker that goes down is told to all who watch across.
 */
export class Watches {
  readonly #parts: WatchParts;

  constructor(parts: WatchParts) {
    this.#parts = parts;
  }

  monitor(cell: Cell, ref: ActorRef): void {
    if (ref.node !== this.#parts.node) {
      this.#parts.delivery.notify(cell, { kind: 'down', ref, reason: NO_ACTOR }, NOTICE);
      return;
    }
    const watching = (cell.watching ??= new SmallMap());
    const key = watchKey(ref.id, ref.worker);
    if (watching.has(key)) return;
    watching.set(key, ref);
    if (ref.worker === this.#parts.worker) this.add(ref.id, cell.ref);
    else if (!this.#parts.bridges.monitor(ref, cell.id))
      this.#tell(cell, { kind: 'down', ref, reason: { kind: 'worker_down', worker: ref.worker } });
  }

  /** Ends the watch at the watched side; no event of it is handed over any more. */
  demonitor(cell: Cell, ref: ActorRef): void {
    cell.watching?.delete(watchKey(ref.id, ref.worker));
    if (ref.node !== this.#parts.node) return;
    if (ref.worker === this.#parts.worker) this.remove(ref.id, cell.ref);
    else this.#parts.bridges.demonitor(ref, cell.id);
  }

  /** `watcher` is to be told of the actor `id` here. */
  add(id: number, watcher: ActorRef): void {
    const cell = this.#parts.slots.get(id);
    if (cell === undefined || cell.phase === ENDED)
      this.#down(watcher, { node: this.#parts.node, worker: this.#parts.worker, id }, NO_ACTOR);
    else (cell.watchers ??= new SmallMap()).set(watchKey(watcher.id, watcher.worker), watcher);
  }

  remove(id: number, watcher: ActorRef): void {
    this.#parts.slots.get(id)?.watchers?.delete(watchKey(watcher.id, watcher.worker));
  }

  /** An event for the actor `id` here about `ref`. */
  told(id: number, event: { kind: 'down'; ref: ActorRef; reason: ExitReason } | { kind: 'restarted'; ref: ActorRef }): void {
    const cell = this.#parts.slots.get(id);
    if (cell?.watching?.has(watchKey(event.ref.id, event.ref.worker))) this.#tell(cell, event);
  }

  /** Whether an event about `ref` is still wanted now that it is its turn. A `down` ends the watch. */
  isWanted(cell: Cell, ref: ActorRef, isDown: boolean): boolean {
    const key = watchKey(ref.id, ref.worker);
    if (!isDown) return cell.watching?.has(key) === true;
    return cell.watching?.delete(key) === true;
  }

  restarted(cell: Cell): void {
    if (cell.watchers === undefined) return;
    for (const watcher of cell.watchers.values()) {
      if (watcher.worker === this.#parts.worker) this.told(watcher.id, { kind: 'restarted', ref: cell.ref });
      else this.#parts.bridges.restarted(watcher, cell.id);
    }
  }

  /** `cell` is over: tells its watchers, and withdraws from those it watched. */
  ended(cell: Cell, reason: ExitReason): void {
    const { watchers, watching } = cell;
    cell.watchers = cell.watching = undefined;
    if (watching !== undefined) for (const ref of watching.values()) this.demonitor(cell, ref);
    if (watchers !== undefined) for (const watcher of watchers.values()) this.#down(watcher, cell.ref, reason);
  }

  /** Cost: O(actors here and whom they watch); workers go down rarely. */
  workerDown(worker: number): void {
    for (const cell of this.#parts.slots.cells) {
      if (cell === undefined) continue;
      if (cell.watchers !== undefined) for (const [key, watcher] of cell.watchers) if (watcher.worker === worker) cell.watchers.delete(key);
      if (cell.watching === undefined) continue;
      for (const ref of cell.watching.values())
        if (ref.worker === worker) this.#tell(cell, { kind: 'down', ref, reason: { kind: 'worker_down', worker } });
    }
  }

  #down(watcher: ActorRef, ref: ActorRef, reason: ExitReason): void {
    if (watcher.worker === this.#parts.worker) this.told(watcher.id, { kind: 'down', ref, reason });
    else this.#parts.bridges.down(watcher, ref.id, reason);
  }

  #tell(cell: Cell, event: { kind: 'down'; ref: ActorRef; reason: ExitReason } | { kind: 'restarted'; ref: ActorRef }): void {
    this.#parts.delivery.notify(cell, event, WATCH);
  }
}
