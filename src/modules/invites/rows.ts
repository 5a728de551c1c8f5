/**
 * Invitations as they lie in the store: in the partition of their host, which commands alone write, on one thread. Of a token only
 * its hash is kept.
 */
import { createHash, randomBytes } from 'node:crypto';
import { jsonTable } from '../../store/codec.ts';
import type { Store } from '../../store/store.ts';

/** XEP-0379 §3.4, XEP-0445 §4 */
export const PARS = 'urn:xmpp:pars:0';

export interface InviteRow {
  /** `account`: to make one; `contact`: to be somebody's; `reset`: to set the password of `username` anew. */
  readonly kind: 'account' | 'contact' | 'reset';
  /** Bare JID of whom the guest will have as a contact. */
  readonly contact?: string | undefined;
  /** Localpart of the account that may be made, reserved until then, or whose password may be set. */
  readonly username?: string | undefined;
  readonly mayRegister: boolean;
  /** Who has made it: a bare JID, or `control socket`. */
  readonly by: string;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
}

/** Keyed by `inviteKey`. */
export const INVITES = jsonTable<InviteRow>({ name: 'invite', version: 1 });

/** By localpart: which invitation it is reserved for, and how long. XEP-0401 §7.2 */
export const RESERVED = jsonTable<{ readonly key: string; readonly expiresAtMs: number }>({ name: 'invite_username', version: 1 });

/** 128 random bits, letters and digits. XEP-0401 §6.1 */
export function makeToken(): string {
  return randomBytes(16).toString('hex');
}

export function inviteKey(token: string): string {
  return createHash('sha256').update(token).digest('base64url');
}

/** Undefined where there is none, or its time is over. */
export async function findInvite(store: Store, domain: string, token: string, nowMs: number): Promise<InviteRow | undefined> {
  const row = await store.get(INVITES, domain, [inviteKey(token)]);
  return row === undefined || row.expiresAtMs <= nowMs ? undefined : row;
}

/** Whether the name waits for a guest who has another invitation than that, or none. */
export async function isReserved(store: Store, domain: string, local: string, token: string | undefined, nowMs: number): Promise<boolean> {
  const row = await store.get(RESERVED, domain, [local]);
  return row !== undefined && row.expiresAtMs > nowMs && (token === undefined || row.key !== inviteKey(token));
}
