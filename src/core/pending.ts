/** Messages of the log that no session was given: they wait for the next one that takes messages. XEP-0160 */
import { SmallMap } from '../kernel/small-map.ts';
import { PENDING, type PendingRow } from '../log/segment.ts';
import type { Store } from '../store/store.ts';
import type { Session } from './session.ts';

/** In order of their positions. The rows are `PENDING`. */
export class Pending {
  private readonly sizes = new SmallMap<number, number>();
  /** Sessions that were given one all the same, while another could not be, by position. */
  private readonly givenTo = new SmallMap<number, readonly number[]>();
  bytes = 0;
  /** Who is being handed them now. */
  reader: Session | undefined = undefined;

  constructor(rows: Iterable<readonly [number, PendingRow]> = []) {
    for (const [position, { bytes, givenTo }] of rows) this.add(position, bytes, givenTo ?? []);
  }

  get count(): number {
    return this.sizes.size;
  }

  /** Of all that a session was not given yet, in order. */
  positionsFor(session: Session): number[] {
    const positions = [...this.sizes.keys()].filter((position) => !(this.givenTo.get(position)?.includes(session.key) ?? false));
    return positions.sort((a, b) => a - b);
  }

  has(position: number): boolean {
    return this.sizes.has(position);
  }

  add(position: number, bytes: number, givenTo: readonly number[]): void {
    if (this.sizes.has(position)) return;
    if (givenTo.length > 0) this.givenTo.set(position, givenTo);
    this.sizes.set(position, bytes);
    this.bytes += bytes;
  }

  /** True if it was there. */
  remove(position: number): boolean {
    const bytes = this.sizes.get(position);
    if (bytes === undefined) return false;
    this.sizes.delete(position);
    this.givenTo.delete(position);
    this.bytes -= bytes;
    return true;
  }
}

/** By position. */
export async function loadPending(store: Store, bare: string): Promise<Map<number, PendingRow>> {
  const rows = new Map<number, PendingRow>();
  for (const { key, value } of await store.list(PENDING, bare)) rows.set(key[0] as number, value);
  return rows;
}
