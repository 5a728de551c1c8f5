import { MessageChannel } from 'node:worker_threads';
import type { MessagePort, Worker } from 'node:worker_threads';
import type { Kernel } from './kernel.ts';

/** One worker, as the mesh reaches it: its kernel's `connect` and `workerDown`, however they are called from the main thread. */
export interface MeshMember {
  connect(worker: number, port: MessagePort): Promise<void> | void;
  workerDown(worker: number): Promise<void> | void;
}

/**
 * Connects every worker with every other by a MessagePort of their own; the main thread carries no traffic.
 *
 *   add(2):   0 ─── 1          0 ─── 1
 *                              │  ╳  │      one channel per pair, made when the later of the two is added
 *                     ──►      2 ────┘
 */
export class Mesh {
  readonly #members = new Map<number, MeshMember>();

  get workers(): readonly number[] {
    return [...this.#members.keys()];
  }

  /**
   * Connects `worker` with all others, in place of an earlier life of it. Resolves when all know; rejects with
   * what `member.connect` rejects with. An other one that cannot be reached is about to be removed, and is ignored.
   */
  async add(worker: number, member: MeshMember): Promise<void> {
    if (this.#members.has(worker)) await this.remove(worker);
    const others = [...this.#members];
    this.#members.set(worker, member);
    for (const [number, other] of others) {
      const { port1, port2 } = new MessageChannel();
      await member.connect(number, port1);
      try {
        await other.connect(worker, port2);
      } catch {
        port2.close(); // which tells the new one that the other is gone
      }
    }
  }

  /** `worker` is gone: tells all others. Resolves when they know. */
  async remove(worker: number): Promise<void> {
    if (!this.#members.delete(worker)) return;
    await Promise.allSettled([...this.#members.values()].map((member) => member.workerDown(worker)));
  }
}

/** What the main thread posts to a worker thread that has no other control interface. */
export type MeshMessage =
  | { readonly kind: 'mesh_connect'; readonly worker: number; readonly port: MessagePort }
  | { readonly kind: 'mesh_down'; readonly worker: number };

/** A thread as a member, for those that call `meshed` on their side. */
export function threadMember(thread: Worker): MeshMember {
  const post = (message: MeshMessage, transfer: MessagePort[]): void => thread.postMessage(message, transfer);
  return {
    connect: (worker, port) => post({ kind: 'mesh_connect', worker, port }, [port]),
    workerDown: (worker) => post({ kind: 'mesh_down', worker }, []),
  };
}

/** The worker's half: lets `kernel` follow a MeshMessage. False for anything else that came by the same port. */
export function meshed(kernel: Kernel, message: unknown): boolean {
  const { kind, worker, port } = message as { kind?: unknown; worker: number; port: MessagePort };
  if (kind === 'mesh_connect') kernel.connect(worker, port);
  else if (kind === 'mesh_down') kernel.workerDown(worker);
  else return false;
  return true;
}
