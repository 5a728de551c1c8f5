/** Roster items: what is kept of a contact, how it is stored and how clients see it. RFC 6121 §2.1.2 */
import type { Table } from '../../store/store.ts';
import { escapeAttr, escapeText } from '../../xml/serialize.ts';
import type { Jid } from '../../xmpp/jid.ts';
import type { Subscription } from './subscription.ts';

export const NS_ROSTER = 'jabber:iq:roster';

/** A contact as its row holds it; the row's key is the bare JID. */
export interface StoredItem {
  /** The handle the user gave the contact; '' without one. */
  readonly name: string;
  readonly groups: readonly string[];
  readonly subscription: Subscription;
  /** The user's request waits for the contact's answer (Pending Out). */
  readonly ask: boolean;
  /** Pre-approval: a request of the contact is granted without asking. RFC 6121 §3.4 */
  readonly approved: boolean;
}

/** A contact in the roster. Immutable: a change makes a new one. */
export interface RosterItem extends StoredItem {
  /** Bare JID. */
  readonly jid: Jid;
}

/** A contact nothing is known of yet. RFC 6121 §A.1: the state "None" includes it. */
export function blankItem(jid: Jid): RosterItem {
  return { jid, name: '', groups: [], subscription: 'none', ask: false, approved: false };
}

/** What markup takes of an item in a result, about. */
const MARKUP_LENGTH = 64;

/** What an item counts for: about its characters in a result. */
export function itemSize({ jid, name, groups }: RosterItem): number {
  let size = MARKUP_LENGTH + jid.full.length + name.length;
  for (const group of groups) size += group.length + '<group></group>'.length;
  return size;
}

const SUBSCRIPTIONS: readonly Subscription[] = ['none', 'to', 'from', 'both'];
const SUBSCRIPTION_BITS = 0b11;
const ASK = 0b100;
const APPROVED = 0b1000;
/** U+0000 can stand in no XML, so in no name or group. */
const SEPARATOR = '\0';

/**
 * One byte of flags, then name and groups as UTF-8, separated by U+0000. A roster is read whole at
 * every login of an idle account, so a row costs one string and no parser.
 */
export const ITEMS: Table<StoredItem> = {
  name: 'roster_item',
  version: 1,
  encode({ name, groups, subscription, ask, approved }) {
    const text = groups.length === 0 ? name : name + SEPARATOR + groups.join(SEPARATOR);
    const bytes = Buffer.allocUnsafe(1 + Buffer.byteLength(text));
    bytes[0] = SUBSCRIPTIONS.indexOf(subscription) | (ask ? ASK : 0) | (approved ? APPROVED : 0);
    bytes.write(text, 1);
    return bytes;
  },
  decode(bytes) {
    const flags = bytes[0];
    if (flags === undefined || flags > 0b1111) throw new Error('not a roster item');
    const text = Buffer.from(bytes.buffer, bytes.byteOffset + 1, bytes.byteLength - 1).toString();
    const end = text.indexOf(SEPARATOR);
    return {
      name: end === -1 ? text : text.slice(0, end),
      groups: end === -1 ? [] : text.slice(end + 1).split(SEPARATOR),
      subscription: SUBSCRIPTIONS[flags & SUBSCRIPTION_BITS]!,
      ask: (flags & ASK) !== 0,
      approved: (flags & APPROVED) !== 0,
    };
  },
};

/** The `<item/>` of results and pushes. RFC 6121 §2.1.2 */
export function itemXml({ jid, name, groups, subscription, ask, approved }: RosterItem): string {
  let xml = "<item jid='" + jid.xml + "' subscription='" + subscription + "'";
  if (name !== '') xml += " name='" + escapeAttr(name) + "'";
  if (ask) xml += " ask='subscribe'";
  if (approved) xml += " approved='true'";
  if (groups.length === 0) return xml + '/>';
  xml += '>';
  for (const group of groups) xml += '<group>' + escapeText(group) + '</group>';
  return xml + '</item>';
}

/** The `<item/>` that tells of a removal. RFC 6121 §2.5.2 */
export function removalXml(jid: Jid): string {
  return "<item jid='" + jid.xml + "' subscription='remove'/>";
}
