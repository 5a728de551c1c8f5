/**
 * What its author takes back is gone from the archives of both sides; a tombstone keeps its place. XEP-0424
 *
 * The message that says so is kept like any other (§5), so clients that were away hear of it, too.
 */
import type { AccountContext } from '../core/context.ts';
import { defineModule, type AccountSlot } from '../core/module.ts';
import { LOG, logKey, peerOf, type LogEntry } from '../log/entry.ts';
import { PEERS, PENDING } from '../log/segment.ts';
import { el } from '../xml/element.ts';
import { formatDateTime } from '../xmpp/date-time.ts';
import { isDurable } from '../xmpp/message-content.ts';
import type { Stanza } from '../xmpp/stanza.ts';

const NS = 'urn:xmpp:message-retract:1';
const TOMBSTONES = `${NS}#tombstone`;
const OCCUPANT_IDS = 'urn:xmpp:occupant-id:0';
const MUC_USER = 'http://jabber.org/protocol/muc#user';

/** How far back a message is sought: entries of the same correspondent, and their age. */
const MAX_ENTRIES = 10_000;
const MAX_AGE_MS = 30 * 24 * 60 * 60_000;
/** Entries one account's searches may read in a minute, so that whoever retracts what there never was costs little. Past it only the latest are looked at. */
const MAX_READ_PER_MINUTE = 30_000;
/** Entries read at a time; also the latest, which are always looked at. */
const CHUNK = 64;
/** Closed segments whose index is read at a time. */
const SEGMENTS_AT_ONCE = 16;
/** Retractions of one account that wait for their turn. Further ones change nothing in the archive; they are kept and delivered all the same. */
const MAX_QUEUED = 64;

/** A message that says that another one is retracted. */
interface Retraction {
  /** Of the message that is retracted. */
  readonly id: string;
  readonly stanza: Stanza;
  readonly atMs: number;
}

interface Searches {
  /** One at a time. */
  current: Search | undefined;
  readonly queue: Retraction[];
  /** When the minute began, and what was read since. */
  sinceMs: number;
  read: number;
}

/** Lost with the account's actor, as what it waits for is. */
const SEARCHES: AccountSlot<Searches> = {
  name: 'retraction_searches',
  load: () => ({ current: undefined, queue: [], sinceMs: 0, read: 0 }),
};

export default defineModule({
  name: 'retraction',
  implements: [
    {
      spec: 'XEP-0424',
      version: '0.4.2',
      status: 'complete',
      note: 'in the archives of accounts, up to 30 days and 10,000 messages back; rooms have their own',
    },
  ],
  features: [NS, TOMBSTONES],
  accountFeatures: [NS, TOMBSTONES],
  slots: [SEARCHES],
  hooks: {
    message_sent: retract,
    user_receive_message: { phase: 'observe', run: (stanza, account) => retract(account, stanza) },
  },
});

function retract(account: AccountContext, stanza: Stanza): void {
  if (!stanza.has('retract', NS) || account.isTemporary || stanza.type === 'groupchat') return; // a room keeps its own archive
  const id = stanza.child('retract', NS)!.attr('id');
  // §4: the tombstone names the retraction, "which MUST also be stored in the archive".
  if (id === undefined || id === '' || stanza.id === undefined || !isDurable(stanza)) return;
  const searches = account.state(SEARCHES);
  const retraction = { id, stanza, atMs: account.now };
  if (searches.current === undefined) begin(account, retraction);
  else if (searches.queue.length < MAX_QUEUED) searches.queue.push(retraction);
}

function begin(account: AccountContext, retraction: Retraction): void {
  const search = new Search(account, retraction);
  account.state(SEARCHES).current = search;
  search.begin(account);
}

/** In a later turn, so that many do not become one long turn. */
function end(account: AccountContext): void {
  const searches = account.state(SEARCHES);
  const next = searches.queue.shift();
  if (next === undefined) searches.current = undefined;
  else begin(account, next);
}

/** Goes back through what is shown of one correspondent, or waits to be: the open segment and what is pending, then the closed segments. */
class Search {
  private readonly retraction: Retraction;
  private readonly peer: string;
  private readonly oldestMs: number;
  /** To be read, newest first. */
  private positions: number[];
  /** Segments from here on have been gone through. */
  private before: number;
  private isInClosed = false;
  private left: number;

  constructor(account: AccountContext, retraction: Retraction) {
    const { stanza, atMs } = retraction;
    this.retraction = retraction;
    this.peer = stanza.from.bare === account.bare ? stanza.to.bare : stanza.from.bare;
    this.oldestMs = atMs - MAX_AGE_MS;
    this.positions = account.log.openPositions(this.peer).toReversed();
    this.before = account.log.openFrom;
    const searches = account.state(SEARCHES);
    if (account.now - searches.sinceMs >= 60_000) {
      searches.sinceMs = account.now;
      searches.read = 0;
    }
    this.left = Math.min(MAX_ENTRIES, Math.max(CHUNK, MAX_READ_PER_MINUTE - searches.read));
  }

  begin(account: AccountContext): void {
    if (account.pendingCount === 0) {
      this.goOn(account);
      return;
    }
    // Pending messages need not be archived, and may be of any age.
    account.later(account.host.services.store.list(PENDING, account.bare), (current, rows) => {
      const all = new Set([...this.positions, ...rows.map(({ key }) => key[0] as number)]);
      this.positions = [...all].sort((a, b) => b - a);
      this.goOn(current);
    });
  }

  private goOn(account: AccountContext): void {
    if (this.positions.length === 0) {
      this.goBack(account);
      return;
    }
    const { store } = account.host.services;
    const positions = this.positions.splice(0, Math.min(CHUNK, this.left));
    this.left -= positions.length;
    account.state(SEARCHES).read += positions.length;
    const read = Promise.all(positions.map((position) => store.get(LOG, account.bare, logKey(position))));
    account.later(read, (current, entries) => this.look(current, entries));
  }

  private goBack(account: AccountContext): void {
    const { peer } = this;
    this.isInClosed = true;
    const range = { from: [peer, 0], to: [peer, this.before], reverse: true, limit: SEGMENTS_AT_ONCE };
    account.later(account.host.services.store.list(PEERS, account.bare, range), (current, rows) => {
      if (rows.length === 0) {
        end(current);
        return;
      }
      this.before = rows.at(-1)!.key[1] as number;
      this.positions = rows.flatMap(({ value }) => value.toReversed());
      this.goOn(current);
    });
  }

  private look(account: AccountContext, entries: readonly (LogEntry | undefined)[]): void {
    const { retraction } = this;
    for (const entry of entries) {
      if (entry === undefined || entry.position < account.log.first || !isMeant(account, entry, retraction)) continue;
      account.put(LOG, logKey(entry.position), tombstone(entry, retraction));
      end(account);
      return;
    }
    const oldest = entries.findLast((entry) => entry !== undefined);
    const isTooOld = this.isInClosed && oldest !== undefined && oldest.atMs < this.oldestMs;
    if (this.left <= 0 || isTooOld) end(account);
    else this.goOn(account);
  }
}

function isMeant({ bare }: AccountContext, entry: LogEntry, { id, stanza, atMs }: Retraction): boolean {
  const original = entry.stanza;
  if (entry.isTombstone || entry.atMs < atMs - MAX_AGE_MS) return false;
  if (original.id !== id || original.type === 'groupchat') return false; // §5.1
  if (original.has('retract', NS)) return false; // §5: it "MUST" be stored, "regardless of whether the original message is deleted"
  const isOwn = stanza.from.bare === bare;
  if (isOwn !== (entry.direction !== 'in') || peerOf(entry) !== (isOwn ? stanza.to.bare : stanza.from.bare)) return false;
  return isOwn || isSameAuthor(original, stanza);
}

/** §5: the same account, or, of what an occupant of a room says in private, the same occupant, which only the room knows for certain. */
function isSameAuthor(original: Stanza, retraction: Stanza): boolean {
  if (!original.has('x', MUC_USER) && !retraction.has('x', MUC_USER)) return original.from.bare === retraction.from.bare;
  const id = occupantId(original);
  return id === occupantId(retraction) && (id !== undefined || original.from.full === retraction.from.full);
}

function occupantId(stanza: Stanza): string | undefined {
  return stanza.child('occupant-id', OCCUPANT_IDS)?.attr('id');
}

/** §4: of the message only its header stays. */
function tombstone(entry: LogEntry, { stanza: { id }, atMs }: Retraction): LogEntry {
  const retracted = el('retracted', NS, { id, stamp: formatDateTime(atMs) });
  return { ...entry, isTombstone: true, stanza: entry.stanza.withContent([retracted]) };
}
