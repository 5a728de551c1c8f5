/**
 * Answers to queries: the results as messages, then the `<fin/>`. XEP-0313 §4
 *
 * One query of a session is under way at a time, the next begins when the client has read the results of the one before; so
 * a session never has more than one page in flight, and a page takes no more than a quarter of what a connection may have
 * unsent. Results are pushed as they are: they are in no log, and nothing else of the server sees them.
 */
import { setImmediate, setTimeout } from 'node:timers/promises';
import type { AccountContext } from '../../core/context.ts';
import type { IqAnswer, IqRequest } from '../../core/module.ts';
import type { Session, SessionSlot } from '../../core/session.ts';
import type { LogEntry } from '../../log/entry.ts';
import { archiveEdges, findPage, viewOf, type ArchivePage, type ArchiveQuery, type PageFailure } from '../../log/reader.ts';
import { el, type Element } from '../../xml/element.ts';
import { escapeAttr } from '../../xml/serialize.ts';
import { formatDateTime } from '../../xmpp/date-time.ts';
import { forwardedXml } from '../../xmpp/forwarding.ts';
import { pageResultElement } from '../../xmpp/rsm.ts';
import { StanzaError } from '../../xmpp/stanza-error.ts';
import { Stanza } from '../../xmpp/stanza.ts';
import { MAM } from './namespace.ts';
import { optionsOf } from './options.ts';
import { readRequest, type ArchiveRequest } from './request.ts';
import { beginSearch, endSearch, siftFor } from './searching.ts';

/** Queries of one session that wait; further ones are refused. */
const MAX_WAITING = 32;
/** Of the outbound limit of a connection, what a page may take. */
const PAGE_SHARE = 0.25;
/** Of the same, what a client may have unacknowledged if it is to get a page. XEP-0198 */
const UNACKED_SHARE = 0.5;
/**
 * A page waits for what goes before it: messages that waited for the client, what it has to acknowledge. Looked after at
 * first in every turn of the event loop, then every POLL_MS, and given up after MAX_LOOKS: half a minute.
 */
const QUICK_LOOKS = 100;
const MAX_LOOKS = 700;
const POLL_MS = 50;

const RESULT_HEAD = [{ name: 'result', ns: MAM }];

/** A query that waits for its turn, or is under way. */
interface Job {
  readonly request: ArchiveRequest;
  readonly session: Session;
  readonly answer: (answer: IqAnswer) => void;
  /** How often it was looked whether the page may go. */
  looks: number;
}

/** Of one session. */
interface Queue {
  isAnswering: boolean;
  readonly waiting: Job[];
}

const QUEUE: SessionSlot<Queue> = { name: 'archive_queries', initial: () => ({ isAnswering: false, waiting: [] }) };

const EMPTY_PAGE: ArchivePage = { entries: [], isComplete: true, count: 0, firstIndex: undefined };

/** §4 */
export function answerQuery({ payload, session }: IqRequest, account: AccountContext): IqAnswer | Promise<IqAnswer> {
  const request = readRequest(payload);
  if (request instanceof StanzaError) return request;
  if (session === undefined) return new StanzaError('service-unavailable'); // it has gone meanwhile
  const { waiting } = session.get(QUEUE);
  if (waiting.length >= MAX_WAITING) return new StanzaError('resource-constraint', 'Too many queries wait already');
  return new Promise((resolve) => {
    waiting.push({ request, session, answer: resolve, looks: 0 });
    next(account, session);
  });
}

/** Nobody waits for what a session has asked that is over. */
export function forgetQueries(_account: AccountContext, session: Session): void {
  for (const { answer } of session.get(QUEUE).waiting.splice(0)) answer(new StanzaError('recipient-unavailable'));
}

/** §5 */
export async function metadata({ host, bare, log }: AccountContext): Promise<Element> {
  const edges = await archiveEdges(viewOf(host.services.store, bare, log));
  const names = ['start', 'end'];
  return el(
    'metadata',
    MAM,
    {},
    ...edges.map((entry, i) => el(names[i]!, MAM, { id: log.ids.of(entry), timestamp: formatDateTime(entry.atMs) })),
  );
}

/** Begins the next query that waits, unless one is under way. */
function next(account: AccountContext, session: Session): void {
  const queue = session.get(QUEUE);
  if (queue.isAnswering) return;
  const job = queue.waiting.shift();
  if (job === undefined) return;
  queue.isAnswering = true;
  const { request } = job;
  const { store } = account.host.services;
  const { words } = request.filters;
  if (words?.length === 0) {
    deliver(account, job, EMPTY_PAGE); // a search for punctuation
    return;
  }
  if (words !== undefined && !beginSearch()) {
    finish(account, job, new StanzaError('resource-constraint', 'Too many searches at a time'));
    return;
  }
  const view = viewOf(store, account.bare, account.log, request.filters.with?.bare);
  const found = findPage(view, archiveQuery(request, account)).catch((error: unknown) => {
    account.host.services.log.warn('archive_query_failed', { error: error instanceof Error ? error.stack : String(error) });
    return 'failed' as const;
  });
  account.later(words === undefined ? found : found.finally(endSearch), (current, page) => {
    if (typeof page === 'string') finish(current, job, failureOf(page));
    else deliver(current, job, page);
  });
}

/** What `request` means for the log. */
function archiveQuery({ filters, page }: ArchiveRequest, account: AccountContext): ArchiveQuery {
  const { with: peer, words, ...rest } = filters;
  const { host, bare } = account;
  const maxPage = optionsOf(host).page;
  const address = peer?.isFull === true ? peer.full : undefined;
  const isSifted = words !== undefined || address !== undefined;
  return {
    ...rest,
    with: peer,
    // §4.1.1: whatever came from or went to a resource of one's own. The bare JID means messages to oneself.
    isAnywhere: address !== undefined && peer!.bare === bare,
    sift: isSifted ? siftFor(host, { words, address }) : undefined,
    page: {
      max: Math.min(page.max ?? maxPage, maxPage),
      maxBytes: host.config.limits.outboundBytes * PAGE_SHARE,
      after: page.after,
      before: page.before === '' ? undefined : page.before,
      isLast: page.before !== undefined,
    },
  };
}

function deliver(account: AccountContext, job: Job, page: ArchivePage): void {
  const { session, request } = job;
  if (!isThere(account, session)) {
    finish(account, job, new StanzaError('recipient-unavailable')); // what is not in the log does not wait for a client
    return;
  }
  if (isBehind(account, session)) {
    if (++job.looks > MAX_LOOKS)
      finish(account, job, new StanzaError('resource-constraint', 'What was sent before must be received first'));
    else account.later(job.looks <= QUICK_LOOKS ? setImmediate() : setTimeout(POLL_MS), (current) => deliver(current, job, page));
    return;
  }
  const { entries } = page;
  for (const entry of request.isFlipped ? entries.toReversed() : entries)
    account.push(session, resultMessage(account, session, request, entry));
  finish(account, job, finOf(account, page));
}

/** Something goes before a page: what waited for the client, or what it has not acknowledged. */
function isBehind({ host }: AccountContext, { outbound }: Session): boolean {
  return !outbound.isLive || outbound.unackedBytes > host.config.limits.outboundBytes * UNACKED_SHARE;
}

function isThere(account: AccountContext, session: Session): boolean {
  return session.connection !== undefined && account.session(session.jid.resource) === session;
}

function failureOf(failure: PageFailure | 'failed'): StanzaError {
  switch (failure) {
    case 'item_not_found':
      return new StanzaError('item-not-found'); // §4.1.3, §4.3.2
    case 'too_long':
      return new StanzaError('resource-constraint', 'Nothing was found among the messages that may be looked into; name a shorter time');
    case 'failed':
      return new StanzaError('resource-constraint', 'The archive cannot be read now');
  }
}

/** Answers, behind the results, and begins the next when they have been read. */
function finish(account: AccountContext, { session, answer }: Job, outcome: IqAnswer): void {
  answer(outcome);
  const goOn = (current: AccountContext): void => {
    session.get(QUEUE).isAnswering = false;
    next(current, session);
  };
  if (isThere(account, session)) account.whenDrained(session, goOn);
  else account.later(Promise.resolve(), goOn); // not now, or many that are refused would be as many calls deep
}

/** §4.2 */
function resultMessage(account: AccountContext, session: Session, { queryId }: ArchiveRequest, entry: LogEntry): Stanza {
  const queryAttr = queryId === undefined ? '' : ` queryid='${escapeAttr(queryId)}'`;
  const forwarded = forwardedXml(entry.stanza, { by: account.bare, atMs: entry.atMs });
  return new Stanza({
    kind: 'message',
    type: 'normal',
    from: account.jid,
    to: session.jid,
    body: `<result xmlns='${MAM}'${queryAttr} id='${account.log.ids.of(entry)}'>${forwarded}</result>`,
    children: RESULT_HEAD,
  });
}

/** §4, §4.3.2. What is told is stable, so nothing is said of that. */
function finOf({ log: { ids } }: AccountContext, { entries, isComplete, count, firstIndex }: ArchivePage): Element {
  const first = entries[0];
  const last = entries.at(-1);
  const set = pageResultElement({
    first: first && ids.of(first),
    last: last && ids.of(last),
    firstIndex,
    count,
  });
  return el('fin', MAM, { complete: isComplete ? 'true' : undefined }, set);
}
