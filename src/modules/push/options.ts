/** The module's section of the configuration file. */
import { z } from 'zod';
import { count, flag } from '../../config/types.ts';
import type { AccountContext } from '../../core/context.ts';

export const OPTIONS = z.strictObject({
  /** Whether push services are told who has written. */
  with_sender: flag().schema.default(false),
  /** Whether push services are told what was written. */
  with_body: flag().schema.default(false),
  /** What they are told instead, so that they know it is for a person to see; `''` is nothing. */
  placeholder: z.string().max(200).default('New message'),
  /** Push services of one account; one more, and the one that was enabled first is forgotten. */
  max_services: count({ min: 1, max: 1_000 }).schema.default(20),
  /** Failures in a row after which a push service is forgotten. */
  max_failures: count({ min: 1, max: 100 }).schema.default(10),
});

export function optionsOf({ host }: AccountContext): z.infer<typeof OPTIONS> {
  return host.settings.modules['push']!.values as z.infer<typeof OPTIONS>;
}
