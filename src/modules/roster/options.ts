/** The module's section of the configuration file. The number of contacts is `accounts.roster_items`. */
import { z } from 'zod';
import { bytes, count } from '../../config/types.ts';
import type { AccountContext } from '../../core/context.ts';

export const ROSTER_OPTIONS = z.strictObject({
  /** Requests of strangers that may wait in one account; further ones are refused. RFC 6121 §3.1.3, last note */
  max_requests: count({ min: 1, max: 10_000 }).schema.default(200),
  /** Of a whole roster, which is sent in one piece: half of what a connection may have unsent by default. */
  max_size: bytes({ min: 16 * 1024, max: 64 * 1024 * 1024 }).schema.default(512 * 1024),
});

export function optionsOf({ host }: AccountContext): z.infer<typeof ROSTER_OPTIONS> {
  return host.settings.modules['roster']!.values as z.infer<typeof ROSTER_OPTIONS>;
}
