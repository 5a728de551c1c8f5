/**
 * A login with all that comes with it: the token, resumption, a new session and what is switched on in it. XEP-0388 §2.6.1
 *
 *   log_in ──► the client's row is read ──► its token is checked ──► what it is told is read ──► one turn: written, answered
 *
 * What is read in between may change before it is used; then it is read again.
 */
import { serialize } from '../xml/serialize.ts';
import { parseElement } from '../xml/tree.ts';
import { normalizeResource } from '../xmpp/jid.ts';
import type { Account } from './account.ts';
import { isWelcome, openSession } from './account-sessions.ts';
import { READS_ARCHIVE } from './catch-up.ts';
import { checkToken, CLIENTS, forgetClients, noteLogin, stableResource, type ClientRow, type TokenOutcome } from './clients.ts';
import type { BindRequest, BoundAnswer, LogIn, LogInAnswer, SmAnswer } from './messages.ts';
import { randomResource } from './resource.ts';
import type { Session } from './session.ts';
import { enableFor, takeUp } from './stream-management.ts';
import type { Row } from '../store/store.ts';

/** The account may be written to faster than it is read. What the client is told may then be a moment old. */
const MAX_READS = 4;

/** What is known of the client, and as of when. */
interface Known {
  readonly changes: number;
  readonly row: ClientRow | undefined;
  /** All of the account, where this one is new. */
  readonly others: readonly Row<ClientRow>[];
}

type Failure = Extract<LogInAnswer, { ok: false }>['condition'];

/** In an account that exists. */
export function logIn(account: Account, event: LogIn): void {
  if (!isWelcome(account, event.isAnonymous)) {
    refuseLogin(account, event);
    return;
  }
  const { client } = event.identity;
  if (client === undefined || account.isTemporary) {
    identified(account, event, { changes: account.clientChanges, row: undefined, others: [] });
    return;
  }
  const { clientChanges: changes, bare } = account;
  const { store } = account.host.services;
  const read = store.get(CLIENTS, bare, [client]).then(async (row) => {
    return { changes, row, others: row === undefined && event.token === undefined ? await store.list(CLIENTS, bare) : [] };
  });
  account.later(read, (context, known: Known) => {
    const current = context as Account;
    if (current.clientChanges === known.changes) identified(current, event, known);
    else logIn(current, event);
  });
}

/** As for an account that does not exist: takes as long as the comparison with a token that is wrong. */
export function refuseLogin(account: Account, event: LogIn): void {
  if (event.token !== undefined) checkToken(account, event, event.token, undefined);
  fail(account, event, 'not-authorized');
}

function fail({ turn }: Account, { replyTo }: LogIn, condition: Failure): void {
  turn.reply(replyTo, { ok: false, condition } satisfies LogInAnswer);
}

/** The client's row is there. */
function identified(account: Account, event: LogIn, known: Known): void {
  const outcome = event.token === undefined ? undefined : checkToken(account, event, event.token, known.row);
  if (outcome?.ok === false) {
    fail(account, event, outcome.condition);
    return;
  }
  const tellers =
    event.bind === undefined || account.isTemporary ? [] : account.host.modules.filter(({ tellBound }) => tellBound !== undefined);
  if (tellers.length === 0) complete(account, event, known, outcome, []);
  else readFacts(account, event, known, outcome, 1);
}

function readFacts(account: Account, event: LogIn, known: Known, outcome: TokenOutcome | undefined, reads: number): void {
  const { next } = account.log;
  const facts = Promise.all(account.host.modules.flatMap(({ tellBound }) => tellBound?.(account) ?? []));
  account.later(facts, (context, elements) => {
    const current = context as Account;
    if (current.clientChanges !== known.changes || !isWelcome(current, event.isAnonymous)) logIn(current, event);
    else if (current.log.next !== next && reads < MAX_READS) readFacts(current, event, known, outcome, reads + 1);
    else
      complete(
        current,
        event,
        known,
        outcome,
        elements.map((element) => serialize(element, '')),
      );
  });
}

/** All of it in one turn. What follows for others comes when the client has its answer. */
function complete(account: Account, event: LogIn, known: Known, outcome: TokenOutcome | undefined, facts: readonly string[]): void {
  const { turn } = account;
  if (!account.isTemporary && !account.isStoreFailing) account.addCredentials(event.upgrades);
  forgetClients(account, known.others);
  const newToken = noteLogin(account, event, outcome?.ok === true ? outcome.slot : undefined, known.row);
  const resumption = event.resume === undefined ? undefined : takeUp(account, event.identity, event.resume.token, event.resume.h);
  const resumed = resumption?.answer;
  // A client that claims too much is sent away.
  const isEnough = resumed?.ok === true || resumed?.condition === 'handled-count-too-high';
  const bound = event.bind === undefined || isEnough ? undefined : bind(account, event, event.bind, facts);
  turn.reply(event.replyTo, {
    ok: true,
    account: turn.self,
    proof: outcome?.ok === true ? outcome.proof : undefined,
    newToken,
    resume: resumption?.answer,
    bind: bound?.answer,
  } satisfies LogInAnswer);
  resumption?.goOn?.();
  const session = bound?.session;
  if (session === undefined) return;
  account.host.hooks.emit('session_opened', account, session);
  if (event.bind?.isInactive === true) account.host.hooks.emit('client_state', account, session, false);
}

interface Bound {
  readonly answer: BoundAnswer;
  readonly session?: Session;
}

/** XEP-0386 §Performing the bind */
function bind(account: Account, { identity }: LogIn, { tag, sm, features }: BindRequest, facts: readonly string[]): Bound {
  const { turn, host } = account;
  const resource = resourceFor(account, identity.client, tag);
  const holder = account.session(resource);
  if (holder !== undefined && holder.identity.client === identity.client) account.close(holder, 'conflict');
  const session = openSession(account, identity, resource);
  if (typeof session === 'string') return { answer: { ok: false, condition: session } };
  // "the server SHOULD terminate any earlier sessions from the same client"
  for (const other of [...account.sessions]) {
    if (other !== session && identity.client !== undefined && other.identity.client === identity.client) account.close(other, 'conflict');
  }
  session.set(READS_ARCHIVE, true);
  let xml = facts.join('');
  for (const { name, ns, xml: text } of features) {
    const payload = parseElement(text);
    const feature = host.bindFeatures.find((each) => each.payload[0] === name && each.payload[1] === ns);
    const answer = payload === undefined ? undefined : feature?.run(account, session, payload);
    if (answer !== undefined) xml += serialize(answer, '');
  }
  const enabled: SmAnswer | undefined = sm === undefined ? undefined : enableFor(account, session, sm, session.taken);
  const { jid, taken } = session;
  return { session, answer: { ok: true, resource: jid.resource, account: turn.self, isNew: true, taken, sm: enabled, xml } };
}

/** The tag "SHOULD be included as-is", where a resource may look so. */
function resourceFor({ host, bare }: Account, client: string | undefined, tag: string | undefined): string {
  const own = client === undefined ? randomResource() : stableResource(host.services.secret, bare, client);
  return (tag === undefined || tag === '' ? undefined : normalizeResource(`${tag}/${own}`)) ?? own;
}
