/** What the operator says of invitations. */
import { z } from 'zod';
import { count, duration } from '../../config/types.ts';

export const OPTIONS = z.strictObject({
  /** What users may invite to: `off`, to be their `contacts`, or to make `accounts` here as well. */
  users: z.enum(['off', 'contacts', 'accounts']).default('contacts'),
  /** How long an invitation is good where nothing else is said. */
  lifetime: duration({ min: 60_000, max: 366 * 86_400_000 }).schema.default(7 * 86_400_000),
  /** Invitations of one user that are open at a time. */
  per_user: count({ min: 1, max: 10_000 }).schema.default(20),
  /** Address of a page that explains the invitation, e.g. `https://example.org/invite/#{token}`; `{uri}` stands for the `xmpp:` link. */
  landing_url: z.string().url().max(1_000).optional(),
});
export type InviteOptions = z.output<typeof OPTIONS>;
