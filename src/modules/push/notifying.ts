/**
 * When push services are told of a message, and what becomes of their answers. XEP-0357 §7
 *
 * A message is told of once: its position in the log is the service's `due` from then on, written with the message itself. What is due
 * and not confirmed (`done`) after a crash is told again, under the same id. One notification at a time is under way to each
 * service; what comes meanwhile makes the next one. It is an IQ, and only messages cause it, so no answer can cause another.
 */
import type { AccountContext } from '../../core/context.ts';
import { DROP } from '../../core/hooks.ts';
import type { Session } from '../../core/session.ts';
import { isDurable } from '../../xmpp/message-content.ts';
import { NS as CORE } from '../../xmpp/namespaces.ts';
import { parseStanzaError, type Condition } from '../../xmpp/stanza-error.ts';
import type { Stanza } from '../../xmpp/stanza.ts';
import { notification } from './notification.ts';
import { optionsOf } from './options.ts';
import { clientOf, forgetService, isAwake, saveService, servicesOf, type PushService } from './services.ts';

/** How long an answer may take; then it has failed. */
const ANSWER_MS = 60_000;
/** Before a service that has failed is tried again: doubled with each failure in a row. */
const RETRY_MS = 30_000;
const MAX_RETRY_MS = 30 * 60_000;

/** After these no later notification would get through. The others may be a service that is restarted. */
const FINAL: ReadonlySet<Condition> = new Set<Condition>([
  'forbidden',
  'gone',
  'item-not-found',
  'not-allowed',
  'not-authorized',
  'registration-required',
]);

const PUBSUB_EVENT = 'http://jabber.org/protocol/pubsub#event';

/** A message of this turn was given to sessions, or waits for one. */
export function noteMessage(account: AccountContext, stanza: Stanza): void {
  const services = servicesOf(account);
  if (services.length === 0 || !isNews(account, stanza)) return;
  const position = account.log.next; // it is written at the end of the turn
  for (const service of services) {
    if (position <= service.row.due || isAwake(clientOf(account, service)) || service.jid.bare === stanza.from.bare) continue;
    owe(account, service, position, 1, stanza);
  }
}

/** The connection is gone; what it was given and did not acknowledge its client may never have seen. XEP-0198 §5 */
export function noteUnseen(account: AccountContext, session: Session): void {
  for (const service of servicesOf(account)) {
    if (clientOf(account, service) !== session) continue;
    let last = 0;
    let count = 0;
    for (const items of [session.outbound.unacked(), session.outbound.waiting]) {
      for (const { position, form, stanza } of items) {
        if (position <= service.row.due || form === 'carbon_sent') continue;
        if (form === 'plain' && stanza !== undefined && !isNews(account, stanza)) continue;
        last = Math.max(last, position);
        count++;
      }
    }
    if (count > 0) owe(account, service, last, count, undefined);
  }
}

/** The client is there and sees for itself. */
export function noteSeen(account: AccountContext, session: Session): void {
  for (const service of servicesOf(account)) {
    const { due, done } = service.row;
    if (due > done && service.sent === undefined && clientOf(account, service) === session)
      saveService(account, service, { done: due, count: 0 });
  }
}

/** After a start: what was due and is not known to have arrived. */
export function notifyAgain(account: AccountContext): void {
  for (const service of servicesOf(account)) notify(account, service, undefined);
}

/** Answers of push services are nobody else's business. */
export function takeAnswer(stanza: Stanza, account: AccountContext): Stanza | typeof DROP {
  const services = servicesOf(account);
  if (services.length === 0 || (stanza.type !== 'result' && stanza.type !== 'error')) return stanza;
  const service = services.find(({ sent, jid }) => sent !== undefined && sent.id === stanza.id && stanza.from.full === jid.full);
  if (service === undefined) return stanza;
  if (stanza.type === 'result') {
    const { upTo, count } = service.sent!;
    service.sent = undefined;
    saveService(account, service, { done: upTo, count: Math.max(0, service.row.count - count), failures: 0 });
    notify(account, service, undefined);
    return DROP;
  }
  const error = stanza.child('error', CORE.client);
  fail(account, service, (error && parseStanzaError(error))?.condition ?? 'undefined-condition');
  return DROP;
}

function owe(account: AccountContext, service: PushService, position: number, count: number, stanza: Stanza | undefined): void {
  saveService(account, service, { due: position, count: service.row.count + count });
  notify(account, service, stanza);
}

/** @param stanza the message that caused it, where that is at hand. */
function notify(account: AccountContext, service: PushService, stanza: Stanza | undefined): void {
  const { due, done, count } = service.row;
  if (due <= done || service.sent !== undefined || service.isWaiting || service.isGone) return;
  const request = notification(account, service, stanza);
  service.sent = { id: request.id!, upTo: due, count, atMs: account.now }; // before it leaves: the answer may come at once
  watch(account, service, ANSWER_MS);
  account.route(request);
}

/** One timer for each service, however many notifications pass meanwhile. */
function watch(account: AccountContext, service: PushService, ms: number): void {
  if (service.isWatched) return;
  service.isWatched = true;
  account.after(ms, (current) => {
    service.isWatched = false;
    const { sent } = service;
    if (sent === undefined || service.isGone) return;
    const leftMs = sent.atMs + ANSWER_MS - current.now;
    if (leftMs <= 0) fail(current, service, 'remote-server-timeout');
    else watch(current, service, leftMs);
  });
}

function fail(account: AccountContext, service: PushService, condition: Condition): void {
  service.sent = undefined;
  const failures = service.row.failures + 1;
  const isFinal = FINAL.has(condition) || failures >= optionsOf(account).max_failures;
  account.host.services.log.info(isFinal ? 'push_disabled' : 'push_failed', {
    account: account.bare,
    service: service.jid.full,
    condition,
  });
  if (isFinal) {
    forgetService(account, service);
    return;
  }
  saveService(account, service, { failures });
  service.isWaiting = true;
  account.after(Math.min(MAX_RETRY_MS, RETRY_MS * 2 ** (failures - 1)), (current) => {
    service.isWaiting = false;
    notify(current, service, undefined);
  });
}

/** Whether somebody is to be woken for it: something to read or a call, from somebody else, that the log has. */
function isNews(account: AccountContext, stanza: Stanza): boolean {
  if (account.isTemporary || stanza.from.bare === account.bare || !isDurable(stanza)) return false;
  let isNews = false;
  for (const { name, ns } of stanza.children) {
    if (ns === PUBSUB_EVENT) return false;
    isNews ||= isContent(name, ns);
  }
  return isNews;
}

function isContent(name: string, ns: string): boolean {
  switch (name) {
    case 'body':
      return ns === CORE.client;
    case 'encrypted': // XEP-0384, of whatever version
      return true;
    case 'propose':
      return ns === 'urn:xmpp:jingle-message:0'; // XEP-0353
    case 'x':
      return ns === 'jabber:x:conference'; // XEP-0249
    default:
      return false;
  }
}
