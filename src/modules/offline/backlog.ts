/** What is kept for one account, and the rows it is kept in. */
import type { AccountContext } from '../../core/context.ts';
import type { AccountSlot } from '../../core/module.ts';
import type { Session } from '../../core/session.ts';
import { binaryTable, jsonTable } from '../../store/codec.ts';
import type { ChildHead } from '../../xml/frame.ts';
import { parseJid, type Jid } from '../../xmpp/jid.ts';
import { Stanza, type MessageType } from '../../xmpp/stanza.ts';

export interface KeptMessage {
  /** When the server got it. */
  readonly atMs: number;
  readonly stanza: Stanza;
}

/** Keyed by position, which only grows. */
export const MESSAGES = binaryTable<KeptMessage>({
  name: 'offline_message',
  version: 1,
  write(row, { atMs, stanza }) {
    row
      .uint(atMs)
      .string(stanza.type)
      .string(stanza.from.full)
      .string(stanza.to.full)
      .optionalString(stanza.id)
      .optionalString(stanza.lang)
      .string(stanza.body);
    row.uint(stanza.children.length);
    for (const { name, ns } of stanza.children) row.string(name).string(ns);
  },
  read(row) {
    const atMs = row.uint();
    const type = row.string() as MessageType;
    const from = storedJid(row.string());
    const to = storedJid(row.string());
    const id = row.optionalString();
    const lang = row.optionalString();
    const body = row.string();
    const children: ChildHead[] = [];
    for (let left = row.uint(); left > 0; left--) children.push({ name: row.string(), ns: row.string() });
    return { atMs, stanza: new Stanza({ kind: 'message', type, from, to, id, lang, body, children }) };
  },
});

function storedJid(text: string): Jid {
  const jid = parseJid(text);
  if (jid === undefined) throw new RangeError('an address of a kept message is not a JID');
  return jid;
}

/** The backlog without its messages, so that a loaded account does not hold them. */
interface Kept {
  readonly next: number;
  readonly count: number;
  readonly bytes: number;
}

/** One row per account. */
export const KEPT = jsonTable<Kept>({ name: 'offline_backlog', version: 1 });

export interface Backlog {
  /** Position of the next message. */
  next: number;
  count: number;
  /** As stanzas count themselves. */
  bytes: number;
  /** Who is being handed the backlog now; forgotten with the account's actor, like the work itself. */
  reader: Session | undefined;
}

export const BACKLOG: AccountSlot<Backlog> = {
  name: 'offline',
  load: async (store, bare) => {
    const kept = await store.get(KEPT, bare, []);
    return { next: kept?.next ?? 1, count: kept?.count ?? 0, bytes: kept?.bytes ?? 0, reader: undefined };
  },
};

export function saveBacklog(account: AccountContext, { next, count, bytes }: Backlog): void {
  account.put(KEPT, [], { next, count, bytes });
}
