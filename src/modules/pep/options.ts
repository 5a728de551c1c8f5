/** The module's section of the configuration file. */
import { z } from 'zod';
import { bytes, count } from '../../config/types.ts';
import type { Host } from '../../core/host.ts';

export const PEP_OPTIONS = z.strictObject({
  /** Nodes of one account; publishing to a further one is refused. */
  max_nodes: count({ min: 1, max: 10_000 }).schema.default(200),
  /** Items a node may keep, whatever its configuration says: the oldest go. */
  max_items: count({ min: 1, max: 100_000 }).schema.default(2_000),
  /** Of one item. It cannot be longer than a stanza. */
  max_payload: bytes({ min: 1024, max: 16 * 1024 * 1024 }).schema.default(256 * 1024),
  /** Of all items of one account together; publishing beyond it is refused. */
  max_size: bytes({ min: 64 * 1024, max: 1024 * 1024 * 1024 }).schema.default(16 * 1024 * 1024),
  /** Explicit subscriptions to one node. Contacts need none. */
  max_subscriptions: count({ min: 1, max: 100_000 }).schema.default(1_000),
  /** Contacts’ clients that are told of events of one account. */
  max_listeners: count({ min: 10, max: 1_000_000 }).schema.default(5_000),
});

export type PepOptions = z.infer<typeof PEP_OPTIONS>;

export function optionsOf({ settings }: Host): PepOptions {
  return settings.modules['pep']!.values as PepOptions;
}
