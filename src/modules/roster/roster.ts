/**
 * The roster of one account in memory, with the indexes that broadcasting needs and the log of
 * changes behind roster versioning. Pure: `changes.ts` writes and pushes what happens here.
 */
import { SmallMap } from '../../kernel/small-map.ts';
import type { Table } from '../../store/store.ts';
import type { BareJid, Jid } from '../../xmpp/jid.ts';
import { itemSize, type RosterItem } from './item.ts';
import { mergedItem, ownPart, sharedMark, type Digests, type SharedContact } from './sharing.ts';
import type { SubscriptionRequest } from './request.ts';
import { isSubscribed, isSubscriber, subscriptionState, type SubscriptionState } from './subscription.ts';

/** Changes remembered per account: a client that missed more gets the whole roster. */
export const MAX_CHANGES = 200;

/** Which contact a version changed; the row's key is the version. */
export const CHANGES: Table<BareJid> = {
  name: 'roster_change',
  version: 1,
  encode: (bare) => Buffer.from(bare),
  decode: (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString() as BareJid,
};

interface Change {
  readonly version: number;
  readonly contact: BareJid;
}

/** What a client that knows an older version lacks: each contact once, in order of its last change. */
export interface Delta {
  readonly version: number;
  readonly contact: BareJid;
  /** Undefined: it was removed. */
  readonly item: RosterItem | undefined;
}

export class Roster {
  readonly items = new SmallMap<BareJid, RosterItem>();
  /** Contacts whose request waits for an answer, whether they are items or not (Pending In). */
  readonly requests = new SmallMap<BareJid, { readonly from: Jid; readonly request: SubscriptionRequest }>();
  /** Items with `from` or `both`: who gets the user's presence. */
  readonly subscribers = new SmallMap<BareJid, Jid>();
  /** Items with `to` or `both`: whose presence the user gets. */
  readonly subscriptions = new SmallMap<BareJid, Jid>();
  /** Of the user's own items, as `itemSize` counts. */
  size = 0;
  private readonly changes: Change[] = [];
  /** Contacts the operator has put there, or whom the user has to be visible to; undefined: none, as in most rosters. */
  private shared: Map<BareJid, SharedContact> | undefined = undefined;
  /** What the user has made of them. */
  private ownOfShared: Map<BareJid, RosterItem> | undefined = undefined;
  /** What was shared at the last version, where that has not been compared yet. */
  knownShared: Digests | undefined = undefined;

  /** RFC 6121 §A.1 */
  state(contact: BareJid): SubscriptionState {
    const item = this.items.get(contact);
    return subscriptionState(item?.subscription ?? 'none', item?.ask ?? false, this.requests.has(contact));
  }

  /** @returns what is to be kept of it: for a shared contact, what is the user's own of the item. */
  set(item: RosterItem): RosterItem {
    const { bare } = item.jid;
    const shared = this.shared?.get(bare);
    const own = shared === undefined ? item : ownPart(item, shared, this.ownOfShared?.get(bare));
    this.size += itemSize(own) - this.sizeOf(bare);
    if (shared !== undefined) (this.ownOfShared ??= new Map()).set(bare, own);
    this.show(bare, own, shared);
    return own;
  }

  /** What the contact's own item counts for; 0 where there is none. */
  sizeOf(contact: BareJid): number {
    const item = this.own(contact);
    return item === undefined ? 0 : itemSize(item);
  }

  delete(contact: BareJid): void {
    this.size -= this.sizeOf(contact);
    this.ownOfShared?.delete(contact);
    this.show(contact, undefined, this.shared?.get(contact));
  }

  isShared(contact: BareJid): boolean {
    return this.shared?.has(contact) ?? false;
  }

  /** Items that are the user's own. */
  get ownCount(): number {
    let count = this.items.size;
    for (const { jid, isListed } of this.sharedContacts) if (isListed && !this.ownOfShared?.has(jid.bare)) count--;
    return count;
  }

  /** All that are shared. */
  get sharedContacts(): Iterable<SharedContact> {
    return this.shared?.values() ?? [];
  }

  /** Shares a contact, or as another one; `undefined`: not any more. True where the user sees a difference. */
  share(contact: BareJid, shared: SharedContact | undefined): boolean {
    const own = this.own(contact);
    const before = sharedMark(this.shared?.get(contact));
    if (before === sharedMark(shared)) return false;
    if (shared === undefined) {
      this.shared?.delete(contact);
      this.ownOfShared?.delete(contact);
    } else {
      (this.shared ??= new Map()).set(contact, shared);
      if (own !== undefined) (this.ownOfShared ??= new Map()).set(contact, own);
    }
    this.show(contact, own, shared);
    return true;
  }

  private own(contact: BareJid): RosterItem | undefined {
    return this.isShared(contact) ? this.ownOfShared?.get(contact) : this.items.get(contact);
  }

  private show(bare: BareJid, own: RosterItem | undefined, shared: SharedContact | undefined): void {
    const item = shared === undefined ? own : mergedItem(own, shared);
    const isSeen = own !== undefined || (shared?.isListed ?? false);
    if (item !== undefined && isSeen) this.items.set(bare, item);
    else this.items.delete(bare);
    if (item !== undefined && isSubscriber(item.subscription)) this.subscribers.set(bare, item.jid);
    else this.subscribers.delete(bare);
    if (item !== undefined && isSubscribed(item.subscription)) this.subscriptions.set(bare, item.jid);
    else this.subscriptions.delete(bare);
  }

  /** 0 before the first change. */
  get version(): number {
    return this.changes.at(-1)?.version ?? 0;
  }

  /** The `ver` attribute. RFC 6121 §2.1.1 */
  get ver(): string {
    return versionText(this.version);
  }

  /**
   * Notes a change under a new version: milliseconds of the clock, or one more than the last where that
   * is not later. Unlike a mere counter it is not given twice to different rosters after an account
   * was created anew or a backup restored.
   *
   * @returns the new version, and the one that falls out of the log.
   */
  noteChange(contact: BareJid, now: number): { version: number; forgotten: number | undefined } {
    const version = Math.max(this.version + 1, now);
    this.restoreChange({ version, contact });
    const forgotten = this.changes.length > MAX_CHANGES ? this.changes.shift()!.version : undefined;
    return { version, forgotten };
  }

  /** Takes a change from the store; in order of versions. */
  restoreChange(change: Change): void {
    this.changes.push(change);
  }

  /**
   * What has changed since `ver`. RFC 6121 §2.6.3
   *
   * @returns `undefined` where the whole roster has to be sent: the version is not one of ours, too old,
   *   or so much has changed that single pushes would be more than the roster.
   */
  since(ver: string): readonly Delta[] | undefined {
    const start = this.indexAfter(ver);
    if (start === undefined) return undefined;
    const latest = new Map<BareJid, number>();
    for (let i = start; i < this.changes.length; i++) {
      const { contact, version } = this.changes[i]!;
      latest.delete(contact); // to the end
      latest.set(contact, version);
    }
    if (latest.size > this.items.size) return undefined;
    return [...latest].map(([contact, version]) => ({ version, contact, item: this.items.get(contact) }));
  }

  /** Where in the log the changes after `ver` begin. */
  private indexAfter(ver: string): number | undefined {
    const version = parseInt(ver, 36);
    if (versionText(version) !== ver) return undefined;
    if (version === 0) return this.changes.length < MAX_CHANGES ? 0 : undefined;
    const at = this.changes.findLastIndex((change) => change.version === version);
    return at === -1 ? undefined : at + 1;
  }
}

/** A version as the `ver` attribute shows it; opaque to clients. */
export function versionText(version: number): string {
  return version.toString(36);
}
