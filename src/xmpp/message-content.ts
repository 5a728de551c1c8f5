/** What kind of message a message is, told by the heads of its content: no tree is built. XEP-0160 §3, XEP-0334 §4 */
import type { ChildHead } from '../xml/frame.ts';
import { STANZA_IDS } from './forwarding.ts';
import { NS } from './namespaces.ts';
import type { Stanza } from './stanza.ts';

/** XEP-0085 */
export const CHAT_STATES = 'http://jabber.org/protocol/chatstates';

/** XEP-0334 */
export const HINTS = 'urn:xmpp:hints';
export type Hint = 'no-permanent-store' | 'no-store' | 'no-copy' | 'store';

/** Whether the sender gives that hint. In an error it may be the original's, so there it means nothing. XEP-0334 §5 */
export function hasHint(stanza: Stanza, hint: Hint): boolean {
  return stanza.type !== 'error' && stanza.has(hint, HINTS);
}

/**
 * Whether an account may write the message down at all: for a session that comes later, for resending, for the archive.
 * Where hints contradict each other, the one against it counts.
 */
export function isDurable(stanza: Stanza): boolean {
  switch (stanza.type) {
    case 'error':
      return false;
    case 'headline': // XEP-0160 §3: time-sensitive, unless the sender says otherwise
      return hasHint(stanza, 'store') && !hasHint(stanza, 'no-store');
    default:
      return !hasHint(stanza, 'no-store') && !isChatStateOnly(stanza); // XEP-0334 §4.2
  }
}

/** XEP-0160 §3: "messages that contain only XEP-0085 content". What merely accompanies content is none. */
export function isChatStateOnly(stanza: Stanza): boolean {
  return !hasHint(stanza, 'store') && areChatStatesOnly(stanza.children); // XEP-0334 §4.4
}

/** As above, for the content of a message that lies inside another one. */
export function areChatStatesOnly(content: readonly ChildHead[]): boolean {
  let hasChatState = false;
  for (const child of content) {
    if (child.ns === CHAT_STATES) hasChatState = true;
    else if (!isAccompaniment(child)) return false;
  }
  return hasChatState;
}

function isAccompaniment({ name, ns }: ChildHead): boolean {
  return ns === HINTS || ns === STANZA_IDS || ns === NS.delay || (name === 'thread' && ns === NS.client); // XEP-0085 §5.1: a thread may be there
}
