/** Which messages are kept. XEP-0160 §3, XEP-0334 §4 */
import type { ChildHead } from '../../xml/frame.ts';
import { NS } from '../../xmpp/namespaces.ts';
import type { Stanza } from '../../xmpp/stanza.ts';

const CHAT_STATES = 'http://jabber.org/protocol/chatstates';
const HINTS = 'urn:xmpp:hints';
const STANZA_IDS = 'urn:xmpp:sid:0';

/** Of types `normal` and `chat`, unless the sender says no. Others never come here: RFC 6121 §8.5.2.2.1 */
export function isWorthKeeping(stanza: Stanza): boolean {
  return stanza.type !== 'error' && !stanza.has('no-store', HINTS); // XEP-0334 §4.2
}

/** XEP-0160 §3: "messages that contain only XEP-0085 content". What merely accompanies content is none. */
export function isChatStateOnly(stanza: Stanza): boolean {
  if (stanza.has('store', HINTS)) return false; // XEP-0334 §4.4
  let hasChatState = false;
  for (const child of stanza.children) {
    if (child.ns === CHAT_STATES) hasChatState = true;
    else if (!isAccompaniment(child)) return false;
  }
  return hasChatState;
}

function isAccompaniment({ name, ns }: ChildHead): boolean {
  return ns === HINTS || ns === STANZA_IDS || ns === NS.delay || (name === 'thread' && ns === NS.client); // XEP-0085 §5.1: a thread may be there
}
