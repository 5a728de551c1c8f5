/** The last steps of a stanza to one session: kept back, numbered, sent, or left to wait. */
import type { Form } from '../log/entry.ts';
import { CARBONS, forwardedXml } from '../xmpp/forwarding.ts';
import type { Jid } from '../xmpp/jid.ts';
import { StanzaError } from '../xmpp/stanza-error.ts';
import { errorAnswer, Stanza } from '../xmpp/stanza.ts';
import type { Account } from './account.ts';
import { keepWaiting, shownStanza } from './drafts.ts';
import { isRequest } from './delivery.ts';
import { Push } from './messages.ts';
import type { Item } from './outbound.ts';
import type { Session } from './session.ts';
import { added } from './small-list.ts';

const NOBODY: readonly number[] = [];
/** Stanzas a client may leave unacknowledged. More, and it is taken for gone: the rest waits in the log. */
const MAX_UNACKED = 4_000;

export function give(account: Account, session: Session, stanza: Stanza, form: Form): void {
  const { draft } = account;
  const isLogged = draft !== undefined && (form !== 'plain' || stanza === draft.stanza);
  if (form === 'plain' && stanza.kind === 'message') account.recipients = added(account.recipients, session);
  let shown = stanza;
  if (isLogged) shown = draft.shown ??= shownStanza(account, draft.stanza, draft);
  if (form !== 'plain') shown = carbon(form, shown, account.jid, session.jid);
  const { guards } = account.host;
  for (let i = 0; i < guards.length; i++) if (guards[i]!(account, session, shown, isLogged)) return;
  hand(account, session, shown, form, isLogged);
}

/** A word of the account itself, also while nothing of it is loaded: no guard is asked. */
export function tell(account: Account, session: Session, stanza: Stanza): void {
  hand(account, session, stanza, 'plain', false);
}

function hand(account: Account, session: Session, shown: Stanza, form: Form, isLogged: boolean): void {
  const { outbound, sm, connection } = session;
  const draft = account.draft!; // where it is logged
  const position = isLogged ? draft.position : 0;
  if (isLogged) draft.givenTo = added(draft.givenTo, session.key);
  const isSentNow = outbound.isLive && connection !== undefined;
  if (isLogged && (isSentNow || sm !== undefined)) draft.holders = added(draft.holders, session.key);
  if (isSentNow && sm === undefined) {
    account.turn.send(connection, new Push(0, position, shown, isLogged ? draft.holders : NOBODY)); // the hot path
    return;
  }
  const item: Item = {
    seq: 0,
    position,
    form,
    atMs: isLogged ? draft.atMs : account.now,
    givenTo: isLogged ? draft.givenTo : NOBODY,
    turn: account.turnCount,
    isDelayed: false,
    stanza: shown,
  };
  if (isSentNow) send(account, session, item);
  else wait(account, session, item);
  if (isLogged) {
    if (sm !== undefined) draft.deliveries = added(draft.deliveries, { session: session.key, seq: item.seq, form });
    else if (form === 'plain') draft.isPending = true; // until it is handed over
  }
}

/** Numbers an item and sends it. The connection must be there. */
export function send(account: Account, session: Session, item: Item): void {
  const { outbound, sm } = session;
  const stanza = item.stanza!;
  const seq = sm === undefined ? 0 : outbound.number(item);
  account.turn.send(session.connection!, new Push(seq, item.position, stanza, sm === undefined ? item.givenTo : NOBODY));
  if (sm === undefined) return;
  session.noteAnswer(stanza, seq);
  if (outbound.unackedCount > MAX_UNACKED || outbound.unackedBytes > account.host.config.limits.outboundHardBytes) {
    account.closeStream(session, 'slow_consumer');
    account.detach(session);
  }
}

function wait(account: Account, session: Session, item: Item): void {
  item.isDelayed = item.position > 0;
  const { stanza } = item;
  if (session.outbound.wait(item)) {
    if (account.isStoreFailing && item.position === 0) account.catchUp(session); // a refusal, perhaps
    if (session.outbound.isOverfull) account.dropSession(session, 'slow_consumer');
    return;
  }
  if (stanza !== undefined && isRequest(stanza)) account.route(errorAnswer(stanza, new StanzaError('resource-constraint')));
}

/** What has come back from a connection that is gone, or that could not take it. */
export function comeBack(account: Account, { seq, position, stanza, holders }: Push): void {
  if (seq > 0) return; // stream management knows
  if (stanza.kind === 'presence') return; // RFC 6121 §8.5.3.2.2
  if (stanza.kind === 'iq') {
    account.returnError(stanza, new StanzaError('service-unavailable')); // RFC 6121 §8.5.3.2.3
    return;
  }
  if (stanza.from.bare === account.bare && (stanza.has('received', CARBONS) || stanza.has('sent', CARBONS))) return;
  // What was for the account was given to each of its sessions that took messages then.
  if (stanza.to.resource === '')
    for (const each of account.sessions) if (each.takesMessages && (position === 0 || each.takesFrom <= position)) return;
  if (position === 0) {
    account.receive(stanza);
    return;
  }
  keepWaiting(account, position, stanza.bytes, holders); // copies have reached whom they were for
  account.handOver();
}

/** A copy for another session of the account. XEP-0280 §6.1 */
export function carbon(form: Exclude<Form, 'plain'>, shown: Stanza, account: Jid, to: Jid): Stanza {
  const name = form === 'carbon_sent' ? 'sent' : 'received';
  return new Stanza({
    kind: 'message',
    type: shown.type,
    from: account.toBare(),
    to,
    body: `<${name} xmlns='${CARBONS}'>${forwardedXml(shown)}</${name}>`,
    children: [{ name, ns: CARBONS }],
  });
}
