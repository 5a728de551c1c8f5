import type { AnyMachine } from './actor.ts';
import type { Cell, KernelMachine } from './cell.ts';

/** A kind of actor that is reached by name and started when the first message for it arrives. */
export interface EntityDefinition {
  /** As in `turn.sendTo(kind, key, …)`, e.g. 'account'. */
  readonly kind: string;
  // oxlint-disable-next-line no-explicit-any
  readonly machine: AnyMachine<any, any>;
  /**
   * `hash`: one actor per key in the whole server, at the key's home worker. `local`: one per key on each
   * worker that sends to it. `worker`: the key is a worker's number, and the actor lives there. Default `hash`.
   */
  readonly home?: 'hash' | 'local' | 'worker';
  /** What `init` gets; default: the key. */
  readonly args?: (key: string) => unknown;
}

/** FNV-1a over UTF-16 code units, folded so that the low bits depend on all others. */
export function hashKey(key: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** The worker where the entity `key` lives, of `workers`. */
export function homeWorker(key: string, workers: number): number {
  return workers === 1 ? 0 : hashKey(key) % workers;
}

/** A registered kind, and those of its actors that run here. */
export class Entity {
  readonly kind: string;
  readonly machine: KernelMachine;
  readonly home: 'hash' | 'local' | 'worker';
  /** Order of registration: what stands for the kind between workers. */
  readonly index: number;
  readonly cells = new Map<string, Cell>();
  readonly #args: ((key: string) => unknown) | undefined;

  constructor(definition: EntityDefinition, index: number) {
    this.kind = definition.kind;
    this.machine = definition.machine;
    this.home = definition.home ?? 'hash';
    this.index = index;
    this.#args = definition.args;
  }

  argsFor(key: string): unknown {
    return this.#args === undefined ? key : this.#args(key);
  }
}

/** The kinds of entities, and where each key lives. Every worker registers the same kinds. */
export class Registry {
  readonly #worker: number;
  readonly #workers: number;
  readonly #entities = new Map<string, Entity>();
  readonly list: Entity[] = [];

  constructor(worker: number, workers: number) {
    this.#worker = worker;
    this.#workers = workers;
  }

  define(definition: EntityDefinition): void {
    if (this.#entities.has(definition.kind)) throw new Error(`entity '${definition.kind}' is registered twice`);
    const entity = new Entity(definition, this.list.length);
    this.#entities.set(definition.kind, entity);
    this.list.push(entity);
  }

  find(kind: string): Entity | undefined {
    return this.#entities.get(kind);
  }

  /** Throws for a kind nobody registered: a bug of the caller, not of its peer. */
  get(kind: string): Entity {
    const entity = this.#entities.get(kind);
    if (entity === undefined) throw new Error(`no entity '${kind}' is registered`);
    return entity;
  }

  homeOf(entity: Entity, key: string): number {
    switch (entity.home) {
      case 'local':
        return this.#worker;
      case 'worker':
        return Number(key);
      case 'hash':
        return homeWorker(key, this.#workers);
    }
  }

  /** Takes the name of an actor that has ended; false if it had none. */
  remove(cell: Cell): boolean {
    const { entity, key } = cell;
    if (entity === undefined || entity.cells.get(key) !== cell) return false;
    entity.cells.delete(key);
    return true;
  }
}
