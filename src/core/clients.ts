/**
 * What is known of an account's clients, the programs that have said which one they are, and the tokens they have got in place of a
 * password: XEP-0388 (`user-agent`), XEP-0484, XEP-0494.
 *
 * Nothing of it is in memory: it is read when a client logs in or asks. Tokens are not kept either. HT-SHA-256-* needs the token
 * itself, so that no hash of it would do; what is kept is a random seed, from which the token is worked out under the secret of the
 * installation. The store alone, or a copy of it, lets nobody in.
 */
import { createHmac, randomBytes } from 'node:crypto';
import { checkTokenProof, type TokenMechanism } from '../sasl/ht.ts';
import { jsonTable } from '../store/codec.ts';
import type { Row } from '../store/store.ts';
import type { BareJid } from '../xmpp/jid.ts';
import type { Account } from './account.ts';
import type { AccountContext } from './context.ts';
import type { LogIn, TokenLogin } from './messages.ts';

/** Ways in, in the words of XEP-0494 but for tokens, which a row has or has not. */
export type LoginMethod = 'password' | 'certificate';

export interface TokenRow {
  /** The only one the token is good for. XEP-0484 §3.4 */
  readonly mechanism: TokenMechanism;
  /** 144 random bits. */
  readonly seed: string;
  readonly expiresAtMs: number;
  /** Of the password that was in force: see AccountRow. */
  readonly password: number;
  /** The highest that was said with it, and the id of the session that was to come of that. */
  readonly count?: number;
  readonly countedFor?: string;
}

export interface ClientRow {
  readonly software?: string | undefined;
  readonly device?: string | undefined;
  readonly firstSeenMs: number;
  readonly lastSeenMs: number;
  /** How it has logged in, each with the number of the password that was in force. */
  readonly methods: Readonly<Partial<Record<LoginMethod, number>>>;
  /** The token it used last. XEP-0484 §5.1 */
  readonly current?: TokenRow | undefined;
  /** What it was given since, and may not have got. */
  readonly fresh?: TokenRow | undefined;
}

/** Keyed by `clientKey`. */
export const CLIENTS = jsonTable<ClientRow>({ name: 'client', version: 1 });

/** Of one account; the one that stays away longest is forgotten first. */
const MAX_CLIENTS = 50;
/** Of what a client tells of itself. UTF-16 units. */
const MAX_NAME_LENGTH = 100;
const SEED_BYTES = 18;

/**
 * What stands for a client's id (`user-agent/@id`) everywhere but in its own words: 128 bits, another one in every account.
 *
 * @param secret of the installation.
 */
export function clientKey(secret: Buffer, bare: BareJid, id: string): string {
  const text = `rookery client ${bare} ${id.toLowerCase()}`;
  return createHmac('sha256', secret).update(text).digest().subarray(0, 16).toString('base64url');
}

/** The part of its resource that is the same whenever the client binds one, and tells nobody its id. XEP-0386 §Resource identifier generation */
export function stableResource(secret: Buffer, bare: BareJid, client: string): string {
  return createHmac('sha256', secret).update(`rookery resource ${bare} ${client}`).digest().subarray(0, 9).toString('base64url');
}

function tokenOf({ host, bare }: Account, client: string, { seed }: TokenRow): string {
  return createHmac('sha256', host.services.secret).update(`rookery token ${bare} ${client} ${seed}`).digest('base64url');
}

const passwordNumber = ({ row }: Account): number => row?.passwordNumber ?? 0;

/** What a token login comes to. */
export type TokenOutcome =
  | { readonly ok: true; readonly slot: 'current' | 'fresh'; readonly proof: Buffer }
  | { readonly ok: false; readonly condition: 'not-authorized' | 'credentials-expired' };

/** For as long as there is nothing to compare with. */
const NO_TOKEN: TokenRow = { mechanism: 'HT-SHA-256-NONE', seed: '', expiresAtMs: 0, password: 0 };

/** XEP-0484 §5.1. Takes as long for a client that is not known. */
export function checkToken(account: Account, { identity }: LogIn, login: TokenLogin, row: ClientRow | undefined): TokenOutcome {
  const { client = '', sid } = identity;
  let outcome: TokenOutcome = { ok: false, condition: 'not-authorized' };
  for (const slot of ['fresh', 'current'] as const) {
    if (outcome.ok) break;
    const token = row?.[slot];
    const proof = checkTokenProof(tokenOf(account, client, token ?? NO_TOKEN), login.proof);
    if (token === undefined || proof === undefined) continue;
    if (token.mechanism !== login.proof.mechanism || token.password !== passwordNumber(account)) continue; // §3.4
    const isReplay = login.count !== undefined && token.count !== undefined && login.count <= token.count && token.countedFor !== sid;
    if (isReplay) continue;
    outcome = token.expiresAtMs <= account.now ? { ok: false, condition: 'credentials-expired' } : { ok: true, slot, proof };
  }
  return outcome;
}

/**
 * Notes a login of a client.
 *
 * @param slot of the token it has used.
 * @returns the token it is to use next, where it is to get one. XEP-0484 §3.3, §3.5
 */
export function noteLogin(
  account: Account,
  { identity, agent, method, token, wantsToken }: LogIn,
  slot: 'current' | 'fresh' | undefined,
  row: ClientRow | undefined,
): { readonly token: string; readonly expiresAtMs: number } | undefined {
  const { client, sid } = identity;
  if (client === undefined || account.isTemporary || account.isStoreFailing) return undefined;
  const { accounts } = account.host.config;
  const { now } = account;
  const used = slot === undefined ? undefined : row?.[slot];
  const counted = used === undefined || token?.count === undefined ? used : { ...used, count: token.count, countedFor: sid };
  const isKept = token?.isInvalidated !== true;
  const mechanism = wantsToken ?? (isKept ? used?.mechanism : undefined); // §3.6: no new one unless it was asked for
  const fresh: TokenRow | undefined =
    mechanism === undefined || accounts.tokenLifetimeMs === 0
      ? undefined
      : {
          mechanism,
          seed: randomBytes(SEED_BYTES).toString('base64url'),
          expiresAtMs: now + accounts.tokenLifetimeMs,
          password: passwordNumber(account),
        };
  const methods = { ...row?.methods };
  if (method === 'password' || method === 'certificate') methods[method] = passwordNumber(account);
  account.clientChanges++;
  account.put(CLIENTS, [client], {
    ...(accounts.areClientsNamed ? { software: nameOf(agent?.software), device: nameOf(agent?.device) } : {}),
    firstSeenMs: row?.firstSeenMs ?? now,
    lastSeenMs: now,
    methods,
    // Used, it is what the client has; what it was given before is void. Without one used, nothing is known of that.
    current: used === undefined ? row?.current : isKept ? counted : undefined,
    fresh: fresh ?? (used === undefined && isKept ? row?.fresh : undefined),
  });
  return fresh && { token: tokenOf(account, client, fresh), expiresAtMs: fresh.expiresAtMs };
}

function nameOf(text: string | undefined): string | undefined {
  const name = text?.trim().slice(0, MAX_NAME_LENGTH).toWellFormed();
  return name === '' ? undefined : name;
}

/** Makes room for a client that was not known. */
export function forgetClients(account: Account, rows: readonly Row<ClientRow>[]): void {
  const since = account.now - account.host.config.accounts.clientRetentionMs;
  const newestFirst = rows.toSorted((a, b) => b.value.lastSeenMs - a.value.lastSeenMs);
  newestFirst.forEach(({ key, value }, i) => {
    if (i >= MAX_CLIENTS - 1 || value.lastSeenMs < since) account.delete(CLIENTS, key);
  });
}

/** A client as its account may see it. */
export interface ClientView {
  readonly key: string;
  readonly row: ClientRow;
  /** Ways in that are open to it now. */
  readonly methods: readonly (LoginMethod | 'token')[];
}

/** Those that still have a way in, or a session. Rejects where the store does. */
export async function clientsOf(context: AccountContext): Promise<ClientView[]> {
  const account = context as Account;
  const rows = await account.host.services.store.list(CLIENTS, account.bare);
  const since = account.host.services.now() - account.host.config.accounts.clientRetentionMs;
  return rows
    .map(({ key, value }): ClientView => ({ key: key[0] as string, row: value, methods: methodsOf(account, value) }))
    .filter(({ row, methods }) => methods.length > 0 && row.lastSeenMs >= since);
}

function methodsOf(account: Account, { methods, current, fresh }: ClientRow): (LoginMethod | 'token')[] {
  const password = passwordNumber(account);
  const now = account.host.services.now();
  const ways: (LoginMethod | 'token')[] = [];
  if (methods.password === password) ways.push('password');
  if (methods.certificate !== undefined) ways.push('certificate');
  if ([current, fresh].some((token) => token !== undefined && token.password === password && token.expiresAtMs > now)) ways.push('token');
  return ways;
}

/** Its tokens are void, its sessions over. XEP-0494 §Revoking access */
export function revokeClient(context: AccountContext, key: string): void {
  const account = context as Account;
  account.clientChanges++;
  account.delete(CLIENTS, [key]);
  for (const session of [...account.sessions]) if (session.identity.client === key) account.close(session, 'client_revoked');
}
