/** Whose stanzas are not answered for yet, because the commits their effects wait for are under way. */
import type { KernelEvent } from '../kernel/actor.ts';
import type { Commit } from '../store/store.ts';
import type { Stanza } from '../xmpp/stanza.ts';
import { dropFront } from './small-list.ts';
import { isStanza, type AccountMessage, type RemoteMessage } from './messages.ts';

interface Doubtful {
  readonly commit: Commit;
  readonly stanza: Stanza;
  readonly remote: RemoteMessage | undefined;
}

/** Slots per stanza: commit, stanza, what it came in. */
const STRIDE = 3;
/** Of slots that are empty at the front, how many may stay before the rest is moved. */
const MAX_GAP = 96;

/** Bounded by the kernel's `maxHeldTurns`. One array that is emptied in its place: see `dropFront`. */
export class Unsettled {
  /** The commit that everything said now waits for. */
  private last: Commit | undefined = undefined;
  private readonly slots: unknown[] = [];
  private head = 0;
  /** The first turn that is undone with a commit that fails now, or one before it. */
  undoneFrom = 0;
  /** Of the turn under way. */
  private answered: Stanza[] | undefined = undefined;

  /** Everything from now on waits for `commit`, too. @param turn the account's. */
  hold(commit: Commit, turn: number): void {
    if (this.last === undefined || isDone(this.last)) this.undoneFrom = turn;
    this.last = commit;
  }

  /** The turn that handled `event` is over. What other accounts owe is not noted: it comes again. */
  note(event: AccountMessage | KernelEvent): void {
    const { answered } = this;
    this.answered = undefined;
    if (this.last === undefined) return;
    this.forgetDone();
    if (isDone(this.last)) {
      this.last = undefined;
      return;
    }
    for (const stanza of answered ?? []) this.add(stanza);
    if (event.kind === 'client_stanza') this.add(event.stanza);
    else if (event.kind === 'undelivered') this.add(event.push.stanza);
    else if (event.kind === 'remote_message') this.add(event.stanza, event);
    else if (isStanza(event)) this.add(event);
  }

  /** The turn under way says the fate of a stanza of an earlier one: that is not said before this turn's own commit. */
  answersFor(stanza: Stanza): void {
    (this.answered ??= []).push(stanza);
  }

  /** Those of commits that have failed, or of which nothing is known. */
  *doubtful(): Generator<Doubtful> {
    const { slots } = this;
    for (let at = this.head; at < slots.length; at += STRIDE) {
      const commit = slots[at] as Commit;
      if (!isDone(commit)) yield { commit, stanza: slots[at + 1] as Stanza, remote: slots[at + 2] as RemoteMessage | undefined };
    }
  }

  /** @param remote what it came in, where somebody waits for word of that. */
  private add(stanza: Stanza, remote?: RemoteMessage): void {
    this.slots.push(this.last, stanza, remote);
  }

  private forgetDone(): void {
    const { slots } = this;
    while (this.head < slots.length && isDone(slots[this.head] as Commit)) {
      slots.fill(undefined, this.head, this.head + STRIDE);
      this.head += STRIDE;
    }
    if (this.head === slots.length) {
      slots.length = this.head = 0;
    } else if (this.head >= MAX_GAP) {
      dropFront(slots, this.head);
      this.head = 0;
    }
  }
}

const isDone = ({ settled, error }: Commit): boolean => settled && error === undefined;
