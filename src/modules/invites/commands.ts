/** Invitations made, listed, taken back and used. Commands all run on one thread: that makes each good for one guest. */
import { z } from 'zod';
import { addressArgument, choiceArgument, lineArgument, numberArgument, NO_ARGUMENTS, tableOf } from '../../core/arguments.ts';
import { defineCommand, type Caller, type Report } from '../../core/command.ts';
import { accountNamed, hostNamed, noAccount } from '../../core/command-input.ts';
import type { Operations } from '../../core/operations.ts';
import { OperatorError } from '../../kernel/errors.ts';
import { Batch } from '../../store/store.ts';
import { formatDateTime } from '../../xmpp/date-time.ts';
import { normalizeLocal, parseJid } from '../../xmpp/jid.ts';
import { BEFRIEND } from './contacts.ts';
import type { InviteOptions } from './options.ts';
import { inviteKey, INVITES, makeToken, RESERVED, type InviteRow } from './rows.ts';

const DAY_MS = 86_400_000;
/** How long what is over is kept: a guest who has shown it in time may still be filling in a form. XEP-0445 §4 */
const GRACE_MS = DAY_MS;
/** For how long a guest's registration keeps others from using the same invitation. */
const CLAIM_MS = 60_000;
/** Of a key, what lists show and commands take. */
const ID_LENGTH = 8;

const host = lineArgument('Host');
const days = numberArgument('Days it is good; 7 unless the configuration says otherwise', 1, 366).optional();

/** What comes of a new one. */
export interface Invitation {
  /** XEP-0147 */
  readonly uri: string;
  readonly landingUrl: string | undefined;
  readonly expiresAtMs: number;
}

const report = ({ uri, landingUrl, expiresAtMs }: Invitation): Report => ({
  facts: [['Link', uri], ...(landingUrl === undefined ? [] : [['Page', landingUrl] as const]), ['Good until', formatDateTime(expiresAtMs)]],
});

/** @throws OperatorError ERR_MODULE_OFF */
function optionsOf({ config }: Operations, domain: string): InviteOptions {
  const section = config.hosts.find((each) => each.domain === domain)?.modules['invites'];
  if (section?.isEnabled !== true) throw new OperatorError('ERR_MODULE_OFF', `${domain} has the module 'invites' switched off.`);
  return section.values as InviteOptions;
}

type NewInvite = Pick<InviteRow, 'kind' | 'contact' | 'username' | 'mayRegister'> & { readonly days: number | undefined };

async function make(server: Operations, domain: string, by: string, wanted: NewInvite): Promise<Invitation> {
  const options = optionsOf(server, domain);
  const token = makeToken();
  const key = inviteKey(token);
  const nowMs = Date.now();
  const expiresAtMs = nowMs + (wanted.days === undefined ? options.lifetime : wanted.days * DAY_MS);
  const batch = new Batch(domain);
  for (const { key: old, value } of await server.store.list(INVITES, domain))
    if (value.expiresAtMs + GRACE_MS < nowMs) remove(batch, old[0] as string, value);
  const { kind, contact, username, mayRegister } = wanted;
  batch.put(INVITES, [key], { kind, contact, username, mayRegister, by, createdAtMs: nowMs, expiresAtMs });
  if (kind === 'account' && username !== undefined) batch.put(RESERVED, [username], { key, expiresAtMs });
  await server.store.commit(batch).promise;
  const uri = uriOf(domain, wanted, token);
  const landingUrl = options.landing_url?.replaceAll('{token}', token).replaceAll('{uri}', encodeURIComponent(uri));
  return { uri, landingUrl, expiresAtMs };
}

function remove(batch: Batch, key: string, { kind, username }: InviteRow): void {
  batch.delete(INVITES, [key]);
  if (kind === 'account' && username !== undefined) batch.delete(RESERVED, [username]);
}

/** XEP-0401 §6.1, §6.4; XEP-0445 §3 */
function uriOf(domain: string, { kind, contact, username, mayRegister }: NewInvite, token: string): string {
  const address = (local: string): string => `${encodeURIComponent(local)}@${domain}`;
  if (kind === 'contact') return `xmpp:${address(parseJid(contact!)!.local)}?roster;preauth=${token}${mayRegister ? ';ibr=y' : ''}`;
  return `xmpp:${username === undefined ? domain : address(username)}?register;preauth=${token}`;
}

const about = { role: 'admin', concerns: (args: { readonly host: string }) => [args.host] } as const;

export const inviteCreate = defineCommand({
  ...about,
  name: 'invite create',
  summary: 'Invite somebody to make an account',
  args: z.strictObject({
    host,
    username: lineArgument('Username of the account; the guest chooses without it').optional(),
    contact: addressArgument('Account that the guest will have as a contact').optional(),
    days,
  }),
  positional: ['host', 'username'],
  async run(args, by, server) {
    const domain = hostNamed(server, args.host);
    const contact = args.contact === undefined ? undefined : accountNamed(server, args.contact);
    if (contact !== undefined && !(await server.ask(contact.bare, { kind: 'get_status' })).exists) throw noAccount(contact);
    const username = args.username === undefined ? undefined : normalizeLocal(args.username);
    if (args.username !== undefined && username === undefined) throw new OperatorError('ERR_ADDRESS', `'${args.username}' is no username.`);
    if (username !== undefined) {
      const account = accountNamed(server, `${username}@${domain}`);
      if ((await server.ask(account.bare, { kind: 'get_status' })).exists)
        throw new OperatorError('ERR_ACCOUNT_EXISTS', `There is an account ${account.bare} already.`);
    }
    return await make(server, domain, bareOf(by), {
      kind: 'account',
      contact: contact?.bare,
      username,
      mayRegister: true,
      days: args.days,
    });
  },
  report,
});

export const inviteReset = defineCommand({
  role: 'admin',
  concerns: ({ address }: { readonly address: string }) => [address],
  name: 'invite reset',
  summary: 'Let somebody set a new password by a link',
  args: z.strictObject({ address: addressArgument(), days }),
  positional: ['address'],
  async run(args, by, server) {
    const { bare, local, domain, ...jid } = accountNamed(server, args.address);
    if (!(await server.ask(bare, { kind: 'get_status' })).exists) throw noAccount({ bare, local, domain, ...jid } as never);
    return await make(server, domain, bareOf(by), { kind: 'reset', username: local, mayRegister: true, days: args.days ?? 1 });
  },
  report,
});

export const inviteList = defineCommand({
  ...about,
  name: 'invite list',
  summary: 'List invitations that are open',
  args: z.strictObject({ host }),
  positional: ['host'],
  async run(args, _by, server) {
    const rows = await server.store.list(INVITES, hostNamed(server, args.host));
    return rows
      .filter(({ value }) => value.expiresAtMs > Date.now())
      .map(({ key, value }) => ({ id: (key[0] as string).slice(0, ID_LENGTH), ...value }));
  },
  report: (rows) =>
    tableOf(rows, 'There are no invitations.', {
      ID: ({ id }) => id,
      FOR: ({ kind, contact, username }) => [kind, username, contact].filter((each) => each !== undefined).join(' '),
      BY: ({ by }) => by,
      UNTIL: ({ expiresAtMs }) => formatDateTime(expiresAtMs),
    }),
});

export const inviteRevoke = defineCommand({
  ...about,
  name: 'invite revoke',
  summary: 'Take an invitation back',
  args: z.strictObject({ host, id: lineArgument('Id, as the list shows it', 100) }),
  positional: ['host', 'id'],
  async run(args, _by, server) {
    const domain = hostNamed(server, args.host);
    const rows = await server.store.list(INVITES, domain);
    const found = rows.filter(({ key }) => args.id.length >= ID_LENGTH && (key[0] as string).startsWith(args.id));
    if (found.length !== 1) throw unknown();
    const batch = new Batch(domain);
    remove(batch, found[0]!.key[0] as string, found[0]!.value);
    await server.store.commit(batch).promise;
    return {};
  },
  report: () => ({ text: 'The invitation is void.' }),
});

export const ownInvite = defineCommand({
  role: 'user',
  isPersonal: true,
  name: 'me invite',
  summary: 'Invite somebody to be your contact',
  args: NO_ARGUMENTS,
  async run(_args, by, server) {
    const { bare, domain } = parseJid(by.jid!)!;
    const options = optionsOf(server, domain);
    if (options.users === 'off' || by.role === 'anonymous')
      throw new OperatorError('ERR_COMMAND_FORBIDDEN', 'Users cannot invite anybody here.');
    const rows = await server.store.list(INVITES, domain);
    const open = rows.filter(({ value }) => value.by === bare && value.expiresAtMs > Date.now()).length;
    if (open >= options.per_user)
      throw new OperatorError(
        'ERR_INVITE_LIMIT',
        `You have ${open} open invitations, and no more are possible until some are used or over.`,
      );
    return await make(server, domain, bare, { kind: 'contact', contact: bare, mayRegister: options.users === 'accounts', days: undefined });
  },
  report,
});

/** Invitations whose guests are registering just now, and until when nobody else may. */
const claims = new Map<string, number>();

/**
 * What the server itself does with a token it was shown: `claim` before an account is made with it, `use` when that is done, `release`
 * when nothing came of it; `subscribe` where a contact is won.
 */
export const inviteRedeem = defineCommand({
  role: 'operator',
  name: 'invite redeem',
  summary: 'Use up an invitation; the server does so by itself',
  args: z.strictObject({
    host,
    token: lineArgument('Token', 200),
    step: choiceArgument('Step', ['claim', 'use', 'release', 'subscribe']),
    guest: addressArgument('Address of the guest'),
  }),
  positional: ['host', 'token', 'step', 'guest'],
  async run({ host: domain, token, step, guest }, _by, server) {
    const key = inviteKey(token);
    const nowMs = Date.now();
    if (step === 'release') {
      claims.delete(key);
      return {};
    }
    const row = await server.store.get(INVITES, domain, [key]);
    if (row === undefined) throw unknown();
    if (step === 'claim') {
      if (!row.mayRegister) throw unknown();
      if ((claims.get(key) ?? 0) > nowMs) throw new OperatorError('ERR_INVITE_IN_USE', 'Somebody else is using this invitation just now.');
      claims.set(key, nowMs + CLAIM_MS);
      return {};
    }
    if (step === 'subscribe' && (row.kind !== 'contact' || row.expiresAtMs <= nowMs)) throw unknown();
    const batch = new Batch(domain);
    remove(batch, key, row);
    await server.store.commit(batch).promise;
    claims.delete(key);
    if (step === 'use' && row.contact !== undefined) await befriend(server, row.contact, guest);
    return {};
  },
});

/** Both have each other from now on, and both see that. XEP-0401 §6.5 */
async function befriend(server: Operations, contact: string, guest: string): Promise<void> {
  const [one, other] = [parseJid(contact)!, parseJid(guest)!];
  try {
    await server.account(other.bare, BEFRIEND, { contact: one.bare });
    await server.account(one.bare, BEFRIEND, { contact: other.bare });
  } catch (error) {
    if (!(error instanceof OperatorError && error.code === 'ERR_NO_ACCOUNT')) throw error; // who has invited is gone
  }
}

const unknown = (): OperatorError =>
  new OperatorError('ERR_INVITE_UNKNOWN', 'There is no such invitation. It may be used, or its time over.');

/** For the list: whoever is no entity of XMPP is called what the log calls him. */
function bareOf({ jid, name }: Caller): string {
  return jid === undefined ? name : (parseJid(jid)?.bare ?? name);
}

export const INVITE_COMMANDS = [inviteCreate, inviteReset, inviteList, inviteRevoke, ownInvite, inviteRedeem] as const;
