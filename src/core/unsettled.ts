/** Whose stanzas are not answered for yet, because the commits their effects wait for are under way. */
import type { KernelEvent } from '../kernel/actor.ts';
import type { Commit } from '../store/store.ts';
import type { Stanza } from '../xmpp/stanza.ts';
import { added, NOTHING } from './small-list.ts';
import { isStanza, type AccountMessage, type RemoteMessage } from './messages.ts';

interface Doubtful {
  readonly commit: Commit;
  readonly stanza: Stanza;
  readonly remote: RemoteMessage | undefined;
}

/** Bounded by the kernel's `maxHeldTurns`. */
export class Unsettled {
  /** The commit that everything said now waits for. */
  private last: Commit | undefined = undefined;
  private stanzas: readonly Doubtful[] = NOTHING;

  /** Everything from now on waits for `commit`, too. */
  hold(commit: Commit): void {
    this.last = commit;
  }

  /** The turn that handled `event` is over. What other accounts owe is not noted: it comes again. */
  note(event: AccountMessage | KernelEvent): void {
    if (this.last === undefined) return;
    if (isDone(this.last)) {
      this.last = undefined;
      this.stanzas = NOTHING;
      return;
    }
    let done = 0;
    while (done < this.stanzas.length && isDone(this.stanzas[done]!.commit)) done++;
    if (done === this.stanzas.length) this.stanzas = NOTHING;
    else if (done > 0) this.stanzas = this.stanzas.slice(done);
    if (event.kind === 'client_stanza') this.noteStanza(event.stanza);
    else if (event.kind === 'undelivered') this.noteStanza(event.push.stanza);
    else if (event.kind === 'remote_message') this.noteStanza(event.stanza, event);
    else if (isStanza(event)) this.noteStanza(event);
  }

  /** @param remote what it came in, where somebody waits for word of that. */
  noteStanza(stanza: Stanza, remote?: RemoteMessage): void {
    if (this.last !== undefined) this.stanzas = added(this.stanzas, { commit: this.last, stanza, remote });
  }

  /** Those of commits that have failed, or of which nothing is known. */
  *doubtful(): Generator<Doubtful> {
    for (const each of this.stanzas) if (!isDone(each.commit)) yield each;
  }
}

const isDone = ({ settled, error }: Commit): boolean => settled && error === undefined;
