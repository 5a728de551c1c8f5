/** Logs made by hand, for tests of what reads and trims them. */
import type { Direction, LogEntry } from '../../src/log/entry.ts';
import { AccountLog } from '../../src/log/log.ts';
import { PENDING } from '../../src/log/segment.ts';
import { openMemory, type MemoryStore } from '../../src/store/memory.ts';
import { Batch } from '../../src/store/store.ts';
import { escapeText } from '../../src/xml/serialize.ts';
import { parseJid, type Jid } from '../../src/xmpp/jid.ts';
import { Stanza } from '../../src/xmpp/stanza.ts';

export const OWNER = 'juliet@capulet.lit';

export const jid = (text: string): Jid => parseJid(text)!;

/** What a test says of an entry; the rest follows. */
export interface EntryInit {
  readonly peer?: string;
  readonly direction?: Direction;
  readonly atMs?: number;
  readonly body?: string;
  readonly isArchived?: boolean;
  readonly isTombstone?: boolean;
  readonly isPending?: boolean;
}

/** An account's log and the store it is in. */
export class LogFixture {
  readonly store: MemoryStore = openMemory();
  readonly log = new AccountLog({ state: undefined, tail: [] });
  /** All entries ever written, by position - 1. */
  readonly entries: LogEntry[] = [];
  private batch = new Batch(OWNER);

  append({ peer = 'romeo@montague.lit/garden', direction = 'in', atMs = 0, body = 'text', ...flags }: EntryInit): LogEntry {
    const own = jid(`${OWNER}/balcony`);
    const from = direction === 'in' ? jid(peer) : own;
    const to = direction === 'in' ? own : direction === 'self' ? jid(OWNER) : jid(peer);
    const entry: LogEntry = {
      position: this.log.next,
      atMs: this.log.timeOf(atMs),
      direction,
      stanza: new Stanza({
        kind: 'message',
        type: 'chat',
        from,
        to,
        body: `<body>${escapeText(body)}</body>`,
        children: [{ name: 'body', ns: 'jabber:client' }],
      }),
      isArchived: flags.isArchived ?? true,
      isTombstone: flags.isTombstone ?? false,
      source: 0,
      origin: undefined,
      settledBelow: 0,
      deliveries: [],
    };
    this.entries.push(entry);
    if (flags.isPending === true) this.batch.put(PENDING, [entry.position], { bytes: entry.stanza.bytes });
    if (this.log.append(entry, this.batch)) this.close();
    return entry;
  }

  /** Closes the open segment before it is full. @param settledBelow see AccountLog. */
  close(settledBelow = this.log.next): void {
    this.log.closeSegment(this.batch, settledBelow);
  }

  /** Changes beside those of the log. */
  async change(change: (batch: Batch) => void): Promise<void> {
    change(this.batch);
    await this.write();
  }

  async write(): Promise<void> {
    const { batch } = this;
    this.batch = new Batch(OWNER);
    if (!batch.isEmpty) await this.store.commit(batch).promise;
  }
}
