/** Which usernames and passwords are taken. */
import { z } from 'zod';
import { count, flag, rate } from '../../config/types.ts';
import { isMixedScript } from '../../xmpp/confusable.ts';
import { normalizeLocal } from '../../xmpp/jid.ts';
import { opaqueString, type OpaqueString } from '../../xmpp/precis.ts';
import { StanzaError } from '../../xmpp/stanza-error.ts';

/** Names under which the administrators of a domain are expected (RFC 2142), and those that would be taken for them. */
const RESERVED = [
  'abuse',
  'admin',
  'administrator',
  'hostmaster',
  'info',
  'marketing',
  'moderator',
  'news',
  'noc',
  'noreply',
  'no-reply',
  'operator',
  'owner',
  'postmaster',
  'root',
  'sales',
  'security',
  'server',
  'staff',
  'support',
  'system',
  'usenet',
  'webmaster',
  'www',
  'xmpp',
];

export const OPTIONS = z.strictObject({
  /** Shown to whoever registers. */
  instructions: z.string().max(2_000).default('Choose a username and a password.'),
  /** Fewest characters of a username. */
  min_username: count({ min: 1, max: 100 }).schema.default(1),
  /** Most characters of a username. */
  max_username: count({ min: 1, max: 1_023 }).schema.default(64),
  /** Fewest characters of a password. */
  min_password: count({ min: 1, max: 1_000 }).schema.default(8),
  /** Usernames nobody can register. */
  reserved: z.array(z.string()).max(10_000).default(RESERVED),
  /** Accounts that may be registered on a host in a time, from all addresses together; per worker thread, as is the rate per address. */
  host_rate: rate({ min: 1 }).schema.default({ count: 1_000, windowMs: 3_600_000 }),
  /** Whether users may change their password from a client. */
  password_change: flag().schema.default(true),
  /** Whether users may remove their account from a client. */
  removal: flag().schema.default(true),
});
export type RegistrationOptions = z.infer<typeof OPTIONS>;

/** The localpart of the new account, or why there can be none. */
export function readUsername(text: string, { min_username: min, max_username: max, reserved }: RegistrationOptions): string | StanzaError {
  const local = normalizeLocal(text);
  if (local === undefined) return refuse('The username contains characters that are not possible');
  const length = [...local].length;
  if (length < min || length > max) return refuse(`A username has ${min} to ${max} characters`);
  if (isMixedScript(local)) return refuse('The username mixes letters that are easily mistaken for each other');
  if (reserved.some((name) => normalizeLocal(name) === local)) return refuse('That username is reserved');
  return local;
}

/** The password as it is hashed, or why it is not taken. */
export function readPassword(text: string, local: string, { min_password: min }: RegistrationOptions): OpaqueString | StanzaError {
  const password = opaqueString(text);
  if (password === undefined) return refuse('The password contains characters that are not possible');
  if ([...password].length < min) return refuse(`A password has at least ${min} characters`);
  if (Buffer.byteLength(password) > 1_023) return refuse('The password is too long');
  if (password.toLowerCase() === local) return refuse('The password must not be the username');
  return password;
}

function refuse(text: string): StanzaError {
  return new StanzaError('not-acceptable', text); // §3.1
}
