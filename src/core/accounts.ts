/**
 * The rows every account has: that it exists, and how it proves itself.
 * No password is ever stored, only what SCRAM needs to check one.
 */
import { jsonTable } from '../store/codec.ts';
import { SCRAM_HASHES, type ScramHash } from '../sasl/scram-credentials.ts';
import type { ScramRecord } from '../sasl/scram-record.ts';
import type { Store } from '../store/store.ts';
import type { BareJid } from '../xmpp/jid.ts';

export interface AccountRow {
  readonly createdAtMs: number;
  readonly isEnabled: boolean;
  /** How often the password was changed; undefined: never. What was given to clients before is void. */
  readonly passwordNumber?: number;
  /** Only where it is disabled. */
  readonly ban?: Ban | undefined;
}

/** Why an account was disabled. */
export interface Ban {
  readonly reason: string;
  /** An address, or `control socket`. */
  readonly by: string;
  /** Milliseconds since the epoch. */
  readonly atMs: number;
}

export const ACCOUNTS = jsonTable<AccountRow>({ name: 'account', version: 1 });
const HASHES = Object.keys(SCRAM_HASHES) as readonly ScramHash[];
/** Keyed by hash. */
export const CREDENTIALS = jsonTable<ScramRecord>({ name: 'credential', version: 1 });

/** How an account proves itself; none where there is no such account. */
export async function loadCredentials(store: Store, bare: BareJid): Promise<readonly ScramRecord[]> {
  // A search for each costs less than one for all that are there.
  const records = await Promise.all(HASHES.map((hash) => store.get(CREDENTIALS, bare, [hash])));
  return records.filter((record) => record !== undefined);
}
