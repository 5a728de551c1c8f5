/**
 * The log of an account as XEP-0227 has it: the archive (§4.11), and what no session was given yet as offline messages (§4.5).
 * Both are views of one log here, so a message that is in both is one again when it comes back: the offline one names
 * its place in the archive (`<stanza-id/>`, XEP-0359).
 */
import { FORWARD as NS_FORWARD, STANZA_IDS as NS_STANZA_ID } from '../xmpp/forwarding.ts';
import { SESSIONS } from '../core/session-rows.ts';
import { messageOf, stanzaXml, type AccountImport, type AccountRows, type Portable } from '../core/portable.ts';
import { ArchiveIds, newArchiveKey } from '../log/archive-id.ts';
import { LOG, logKey, type Delivery, type Direction, type LogEntry } from '../log/entry.ts';
import { AccountLog, emptyLog } from '../log/log.ts';
import { AWAKE, LOG_STATE, PEERS, PENDING, SEGMENTS } from '../log/segment.ts';
import { LEFTOVERS, TRIM_STATE } from '../log/trim.ts';
import { el, type Element } from '../xml/element.ts';
import { serialize } from '../xml/serialize.ts';
import { formatDateTime, parseDateTime } from '../xmpp/date-time.ts';
import { delayElement, parseDelay } from '../xmpp/delay.ts';
import type { Jid } from '../xmpp/jid.ts';
import { NS } from '../xmpp/namespaces.ts';
import type { Stanza } from '../xmpp/stanza.ts';
import { NS_PIE, NS_PIE_MAM, NS_ROOKERY } from './names.ts';

const NS_MAM = 'urn:xmpp:mam:2';

/** Offline messages kept back until their place in the archive is known; further ones come before it. */
const MAX_WAITING_BYTES = 32 * 1024 * 1024;

const OFFLINE: Portable = {
  tables: [PENDING],
  within: ['offline-messages', NS_PIE],
  elements: [['message', NS.client]],
  async *write(account) {
    const ids = await idsOf(account);
    const given = account.isInUse ? [] : [...(await unacknowledged(account))];
    const pending: number[] = [];
    for await (const page of account.pages(PENDING)) for (const { key } of page) pending.push(key[0] as number);
    for (const position of [...new Set([...pending, ...given])].sort((one, other) => one - other)) {
      const entry = await account.get(LOG, logKey(position));
      if (entry !== undefined && !entry.isTombstone) yield offlineXml(account, entry, ids); // else a session has got it just now
    }
  },
  read: (account) => {
    const log = logImport(account);
    return { take: (element) => log.takeOffline(element), end: () => log.end() };
  },
};

const ARCHIVE: Portable = {
  tables: [LOG, LOG_STATE, SEGMENTS, PEERS, TRIM_STATE, LEFTOVERS, AWAKE],
  within: ['archive', NS_PIE_MAM],
  elements: [['result', NS_MAM]],
  async *write(account) {
    const ids = await idsOf(account);
    const first = (await account.get(LOG_STATE, []))?.first ?? 1; // what is before only waits for a session
    for await (const page of account.pages(LOG, { from: logKey(first) })) {
      for (const { value } of page) if (value.isArchived) yield resultXml(value, ids);
    }
  },
  read: (account) => {
    const log = logImport(account);
    return { take: (element) => log.takeResult(element), end: () => log.end() };
  },
};

/** What every account has besides its modules' data. */
export const LOG_PORTABLE: readonly Portable[] = [OFFLINE, ARCHIVE];

/** Of the ids in the document. Undefined where there is no log yet. */
export async function archiveKeyOf(account: AccountRows): Promise<string | undefined> {
  return (await account.get(LOG_STATE, []))?.key;
}

async function idsOf(account: AccountRows): Promise<ArchiveIds> {
  return new ArchiveIds((await archiveKeyOf(account)) ?? newArchiveKey()); // there may be a first message by now
}

/**
 * Positions of messages that sessions were given and, as far as the store knows, did not acknowledge. They would wait for the next session once
 * those have ended (XEP-0198 §5), and they will have ended when the account is elsewhere.
 */
async function unacknowledged(account: AccountRows): Promise<ReadonlySet<number>> {
  const positions = new Set<number>();
  const untils = new Map<number, number>();
  for await (const page of account.pages(SESSIONS)) {
    for (const { key, value } of page) {
      untils.set(key[0] as number, value.until);
      for (const [, position, form] of value.items) if (form === 'plain') positions.add(position);
    }
  }
  if (untils.size === 0) return positions;
  for await (const page of account.pages(LOG, { from: logKey(Math.min(...untils.values())) })) {
    for (const { value } of page)
      if (value.deliveries.some((delivery) => isOwed(delivery, value.position, untils))) positions.add(value.position);
  }
  return positions;
}

function isOwed({ session, form }: Delivery, position: number, untils: ReadonlyMap<number, number>): boolean {
  return form === 'plain' && position >= (untils.get(session) ?? Number.POSITIVE_INFINITY);
}

function offlineXml({ jid, bare }: AccountRows, entry: LogEntry, ids: ArchiveIds): string {
  const delay = delayElement(jid.domain, entry.atMs, 'Offline Storage');
  return stanzaXml(entry.stanza.withAppended(delay, el('stanza-id', NS_STANZA_ID, { by: bare, id: ids.of(entry) })));
}

function resultXml(entry: LogEntry, ids: ArchiveIds): string {
  const { atMs, stanza, isTombstone } = entry;
  const delay = `<delay xmlns='${NS.delay}' stamp='${formatDateTime(atMs)}'/>`;
  const forwarded = `<forwarded xmlns='${NS_FORWARD}'>${delay}${stanzaXml(stanza)}</forwarded>`;
  const mark = isTombstone ? serialize(el('tombstone', NS_ROOKERY)) : '';
  return `<result xmlns='${NS_MAM}' id='${ids.of(entry)}'>${forwarded}${mark}</result>`;
}

/** A message that has no place in the log yet. */
interface Arrival {
  readonly stanza: Stanza;
  readonly atMs: number;
  /** Of the archive; '' where unknown. */
  readonly id: string;
  readonly isTombstone: boolean;
}

/** One per account: offline messages and archive are put together. */
const imports = new WeakMap<AccountImport, LogImport>();

/** To be called before anything of the log is read. @param archiveKey the ids in the document are made with it, and stay what they are. */
export function beginLogImport(account: AccountImport, archiveKey: string | undefined): void {
  imports.set(account, new LogImport(account, archiveKey ?? newArchiveKey()));
}

function logImport(account: AccountImport): LogImport {
  return imports.get(account)!;
}

class LogImport {
  private readonly account: AccountImport;
  private readonly log: AccountLog;
  /** In the order of the document, by id or any other unique key. */
  private readonly waiting = new Map<string, Arrival>();
  private waitingBytes = 0;
  private unnamed = 0;
  private hasEnded = false;

  constructor(account: AccountImport, archiveKey: string) {
    this.account = account;
    this.log = new AccountLog(emptyLog(archiveKey));
  }

  takeOffline(element: Element): boolean {
    const { account } = this;
    const given = messageOf(element, account.jid);
    if (given === undefined || given.bytes > account.maxStanzaBytes) return false;
    const delays = element.childrenNamed('delay', NS.delay).map((delay) => ({ delay, parsed: parseDelay(delay) }));
    // XEP-0203 §5: the server's own says when it was kept; of others it is at least said that they were that late.
    const own = delays.find(({ parsed, delay }) => parsed?.from?.full === account.jid.domain || delay.attr('from') === undefined);
    const atMs = own?.parsed?.atMs ?? delays.at(-1)?.parsed?.atMs ?? account.nowMs;
    const id = ownId(given, account.jid);
    const stanza = without(given, (child) => isSame(child, own?.delay) || isOwnId(child, account.jid));
    this.waitingBytes += stanza.bytes;
    this.waiting.set(id === '' || this.waiting.has(id) ? ` ${++this.unnamed}` : id, { stanza, atMs, id, isTombstone: false });
    if (this.waitingBytes > MAX_WAITING_BYTES) this.placeWaiting(() => true);
    return true;
  }

  /** §4.11: "in chronological order (from oldest to newest)" */
  takeResult(element: Element): boolean {
    const { account } = this;
    const forwarded = element.child('forwarded', NS_FORWARD);
    const message = forwarded?.child('message', NS.client);
    const given = message === undefined ? undefined : messageOf(message, account.jid);
    const atMs = parseDateTime(forwarded?.child('delay', NS.delay)?.attr('stamp') ?? '');
    if (given === undefined || atMs === undefined || given.bytes > account.maxStanzaBytes) return false;
    const stanza = without(given, (child) => isOwnId(child, account.jid));
    const arrival = { stanza, atMs, id: element.attr('id') ?? '', isTombstone: element.child('tombstone', NS_ROOKERY) !== undefined };
    this.placeWaiting((other) => other.id !== arrival.id && this.isBefore(other, arrival));
    const pending = this.waiting.get(arrival.id);
    this.append(arrival, true, pending !== undefined);
    if (pending !== undefined) this.forget(arrival.id, pending);
    return true;
  }

  /** What was put is readable by now. */
  async end(): Promise<void> {
    if (this.hasEnded) return;
    this.hasEnded = true;
    for (const arrival of this.waiting.values()) {
      const place = this.placeOf(arrival);
      const known = place === undefined ? undefined : await this.account.get(LOG, logKey(place));
      if (known?.atMs === arrival.atMs) this.account.put(PENDING, [known.position], { bytes: known.stanza.bytes });
      else this.append(arrival, false, true);
    }
    this.waiting.clear();
    this.log.closeSegment(this.account, this.log.next);
  }

  private placeWaiting(isDue: (arrival: Arrival) => boolean): void {
    for (const [key, arrival] of this.waiting) {
      if (!isDue(arrival)) return;
      this.forget(key, arrival);
      this.append(arrival, false, true);
    }
  }

  private forget(key: string, arrival: Arrival): void {
    this.waiting.delete(key);
    this.waitingBytes -= arrival.stanza.bytes;
  }

  private append(arrival: Arrival, isArchived: boolean, isPending: boolean): void {
    const { account, log } = this;
    const { stanza, isTombstone } = arrival;
    const position = Math.max(this.placeOf(arrival) ?? 0, log.next);
    const direction = directionOf(stanza, account.jid);
    const entry: LogEntry = {
      position,
      atMs: log.timeOf(arrival.atMs),
      direction,
      stanza,
      isArchived,
      isTombstone,
      source: 0,
      origin: undefined,
      settledBelow: direction === 'in' ? 0 : position + 1, // it reached whom it was for on the server it comes from
      deliveries: [],
    };
    const isFull = log.append(entry, account);
    if (isPending) account.put(PENDING, [position], { bytes: stanza.bytes });
    if (isFull) log.closeSegment(account, log.next);
  }

  /** Where a message was in the log the document comes from: its id stays what it was. Undefined for ids of others. */
  private placeOf({ id, atMs }: Arrival): number | undefined {
    const place = this.log.ids.parse(id);
    return place?.atMs === atMs ? place.position : undefined;
  }

  private isBefore(one: Arrival, other: Arrival): boolean {
    const [place, otherPlace] = [this.placeOf(one), this.placeOf(other)];
    return place !== undefined && otherPlace !== undefined ? place < otherPlace : one.atMs < other.atMs;
  }
}

function directionOf({ from, to }: Stanza, owner: Jid): Direction {
  if (from.bare !== owner.bare) return 'in';
  return to.bare === owner.bare ? 'self' : 'out';
}

/** XEP-0359 §3.1: what the account itself has given. */
function ownId(stanza: Stanza, owner: Jid): string {
  if (!stanza.has('stanza-id', NS_STANZA_ID)) return '';
  return (
    stanza
      .element()
      .elements()
      .find((child) => isOwnId(child, owner))
      ?.attr('id') ?? ''
  );
}

function isOwnId(child: Element, owner: Jid): boolean {
  return child.is('stanza-id', NS_STANZA_ID) && child.attr('by') === owner.bare;
}

function isSame(child: Element, other: Element | undefined): boolean {
  return other !== undefined && child.is(other.name, other.ns) && serialize(child) === serialize(other);
}

function without(stanza: Stanza, isLeftOut: (child: Element) => boolean): Stanza {
  if (!stanza.has('delay', NS.delay) && !stanza.has('stanza-id', NS_STANZA_ID)) return stanza;
  const { children } = stanza.element();
  const kept = children.filter((child) => typeof child === 'string' || !isLeftOut(child));
  return kept.length === children.length ? stanza : stanza.withContent(kept);
}
