/**
 * Stanzas for a component. The protocols have no acknowledgements, so a message counts as given, and leaves the debts of its sender's
 * log, when the operating system has taken all that was written up to it. What was written and not taken when the connection ends is
 * given to the next one again: at least once, and once where nothing breaks.
 *
 * Messages are not written while much is pending, but wait where they are, in their senders' logs. So a component that reads
 * slowly costs no memory and loses no messages; of presence and IQ there may be as much as the limits of the link allow.
 */
import type { Forward, ForwardAgain } from '../core/messages.ts';
import type { BareJid } from '../xmpp/jid.ts';
import type { Stanza } from '../xmpp/stanza.ts';
import type { ComponentConnection } from './connection.ts';
import { delayed } from './directory.ts';
import { tellSender } from './messages.ts';

/** Above this much unsent output messages wait. More than the high-water mark of a transport, or nobody would tell that it has drained. */
const BUSY_BYTES = 256 * 1024;
/** Senders whose messages wait; others say them again by themselves. */
const MAX_DEFERRED = 10_000;
/** Senders are told what was given after so long: their debts are no hurry. */
const CONFIRM_MS = 50;
/** A message that is said again so long after it was sent says so. XEP-0203 §2 */
const LATE_MS = 10_000;

export function writeStanza(c: ComponentConnection, stanza: Stanza): void {
  c.link.write(c.dialect.wrap(c, stanza));
  c.stanzasOut++;
  c.environment.counters.componentStanzasOut++;
}

/** False: it has to go, since it does not read. */
export function toComponent(c: ComponentConnection, stanza: Stanza): boolean {
  writeStanza(c, stanza);
  if (!c.link.isOverfull) return true;
  c.link.transport.flush(); // what was only gathered in this slice is not the component's slowness
  return !c.link.isOverfull;
}

export function forwarded(c: ComponentConnection, message: Forward): void {
  const { stanza } = message;
  const sender = stanza.from.bare;
  if (isBusy(c)) {
    defer(c, sender, stanza.to.bare);
    return;
  }
  const known = c.inbox.admit(keyOf(stanza), message);
  if (known === 'gap') {
    tellSender(c.turn, sender, { kind: 'forward_gap', by: stanza.to.bare });
    return;
  }
  if (known === 'next') writeStanza(c, stanza);
  given(c, stanza, message.position, message.atMs);
}

export function forwardedAgain(c: ComponentConnection, { messages }: ForwardAgain): void {
  for (const { stanza, position, atMs } of messages) {
    if (isBusy(c)) {
      defer(c, stanza.from.bare, stanza.to.bare);
      return;
    }
    if (c.inbox.admit(keyOf(stanza), { position, previous: 0, atMs }) === 'next') {
      const isLate = c.turn.now - atMs > LATE_MS;
      writeStanza(c, isLate ? delayed(stanza, atMs, stanza.from.domain) : stanza);
    }
    given(c, stanza, position, atMs);
  }
}

/** What was written has left. */
export function drained(c: ComponentConnection): void {
  for (const { sender, recipient } of c.deferred.values()) askAgain(c, sender, recipient);
  c.deferred.clear();
}

/** The timer's. */
export function confirm(c: ComponentConnection): void {
  c.isConfirmArmed = false;
  if (c.link.pendingBytes > 0) {
    arm(c);
    return;
  }
  settle(c);
  drained(c);
}

/** All that was written has left: who sent it owes it no more. */
export function settle(c: ComponentConnection): void {
  for (const [key, position] of c.inbox.unconfirmed) {
    const [sender, by] = key.split(' ') as [BareJid, BareJid];
    tellSender(c.turn, sender, { kind: 'forwarded', by, position });
  }
  c.inbox.unconfirmed.clear();
}

function given(c: ComponentConnection, stanza: Stanza, position: number, atMs: number): void {
  c.inbox.arrived(keyOf(stanza), position, atMs);
  arm(c);
}

function arm(c: ComponentConnection): void {
  if (c.isConfirmArmed) return;
  c.isConfirmArmed = true;
  c.turn.timer('confirm', CONFIRM_MS);
}

/** Positions are one sequence per sender and recipient; a component has many recipients. No local or domain part has a space. */
const keyOf = ({ from, to }: Stanza): BareJid => `${from.bare} ${to.bare}` as BareJid;

function isBusy(c: ComponentConnection): boolean {
  if (c.link.pendingBytes <= BUSY_BYTES) return false;
  c.link.transport.flush();
  return c.link.pendingBytes > BUSY_BYTES;
}

function defer(c: ComponentConnection, sender: BareJid, recipient: BareJid): void {
  arm(c);
  if (c.deferred.size < MAX_DEFERRED) c.deferred.set(`${sender} ${recipient}`, { sender, recipient });
}

function askAgain(c: ComponentConnection, sender: BareJid, recipient: BareJid): void {
  tellSender(c.turn, sender, { kind: 'forward_gap', by: recipient, isReady: true });
}
