/** The module's section of the configuration file. */
import { z } from 'zod';
import { bytes, count, durationOr, oneOf } from '../../config/types.ts';
import type { Host } from '../../core/host.ts';
import type { TrimPolicy } from '../../log/trim.ts';

export const ARCHIVE_OPTIONS = z.strictObject({
  /** What is archived of accounts that have not said what they want: `always`, `roster` (correspondents in it) or `never`. */
  default: oneOf('always', 'roster', 'never').schema.default('always'),
  /** How long messages are kept; `forever` for no limit. Younger than an hour they always are. */
  keep: durationOr('forever', { min: 60 * 60_000 }).schema.default(365 * 86_400_000),
  /** Size of the messages kept of one account. Beyond it the oldest go, whole blocks of up to 256 at a time. */
  size: bytes({ min: 64 * 1024 }).schema.default(1024 * 1024 * 1024),
  /** Results a client gets at a time at most, and if it does not say how many it wants. */
  page: count({ min: 10, max: 1_000 }).schema.default(250),
  /** Messages looked into for one page of a search, or of a query for a full address. */
  search_messages: count({ min: 1_000, max: 100_000_000 }).schema.default(500_000),
});

export type ArchiveOptions = z.infer<typeof ARCHIVE_OPTIONS>;

export function optionsOf(host: Host): ArchiveOptions {
  return host.settings.modules['archive']!.values as ArchiveOptions;
}

/** How long messages are kept. XEP-0313 §3.2 */
export function retains(host: Host): TrimPolicy {
  const { keep, size } = optionsOf(host);
  return { keepMs: keep, maxBytes: size };
}
