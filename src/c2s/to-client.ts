/** What the account has for the client. */
import type { Push } from '../core/messages.ts';
import { LastHead, makeStanza } from '../xmpp/stanza.ts';
import type { C2sState, Connection } from './connection.ts';
import { requestAckInTime } from './stream-management.ts';

/** Whatever the state is that a push comes in, it stays `state`. */
export function toClient(c: Connection, push: Push, state: C2sState): C2sState {
  const session = c.session!;
  const { seq } = push;
  if (seq !== 0 && seq !== session.received + 1) return state; // it has come, or will come again in its turn
  const { sm } = session;
  const { stanza } = push;
  const xml = stanza.kind === 'message' ? stanza.toXml((c.lastHead ??= new LastHead())) : stanza.toXml();
  if (seq !== 0) session.received = seq;
  // An account that has lost the session numbers nothing; the client counts all the same.
  else if (sm !== undefined && sm.isOn) session.received++;
  c.link.write(xml);
  c.environment.counters.stanzasOut++;
  if (sm !== undefined && !c.isLeaving) requestAckInTime(c, sm);
  if (!c.link.isOverfull) return state;
  c.written = push;
  c.link.transport.flush(); // what was only gathered in this slice is not the client's slowness
  c.written = undefined;
  return c.link.isOverfull ? dropSlowConsumer(c) : state;
}

/** It does not read, so it would not read a stream error either. */
export function dropSlowConsumer(c: Connection): C2sState {
  c.closeReason ??= 'slow_consumer';
  c.leaveSession(c.closeReason);
  c.link.transport.destroy();
  c.turn.timer('closing', 0);
  return 'closing';
}

/**
 * After a crash over a push: one that may be no fault of its own, so it is tried once more. A numbered one comes again by itself;
 * should it be fatal, something else takes its number, or the client could never resume past it.
 */
export function retryPush(c: Connection, push: Push, wasWritten: boolean): void {
  const session = c.session!;
  const { seq } = push;
  if (seq === 0) {
    if (wasWritten || session.retried === push) return;
    session.retried = push;
    c.link.write(push.stanza.toXml());
  } else if (seq === session.received + 1) {
    if (session.retriedSeq === seq) {
      session.received = seq;
      c.link.write(makeStanza({ kind: 'message', type: 'headline', from: c.host!.jid, to: session.jid }).toXml());
    }
    session.retriedSeq = seq;
  }
}
