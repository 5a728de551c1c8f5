/** Which messages the archive shows. XEP-0313 §6.1.1, XEP-0441 §2.2, XEP-0334 §4 */
import type { AccountContext } from '../../core/context.ts';
import type { Direction } from '../../log/entry.ts';
import { CHAT_STATES, HINTS, hasHint } from '../../xmpp/message-content.ts';
import type { Jid } from '../../xmpp/jid.ts';
import { NS } from '../../xmpp/namespaces.ts';
import type { Stanza } from '../../xmpp/stanza.ts';
import { rosterOf } from '../roster/index.ts';
import { MAM } from './namespace.ts';
import { optionsOf } from './options.ts';
import { ARCHIVE } from './state.ts';

/** What a message may carry without being worth keeping: it accompanies others, or is for programs alone and for now. */
const PASSING: ReadonlySet<string> = new Set([
  HINTS,
  CHAT_STATES,
  MAM,
  NS.delay,
  'urn:xmpp:sid:0',
  'http://jabber.org/protocol/nick',
  'http://jabber.org/protocol/pubsub#event',
  'http://jabber.org/protocol/ibb',
]);

/** Called for every message that is written down. Builds nothing. */
export function archives(account: AccountContext, stanza: Stanza, direction: Direction): boolean {
  if (stanza.type !== 'chat' && stanza.type !== 'normal') return false;
  if (hasHint(stanza, 'no-permanent-store') || hasHint(stanza, 'no-store')) return false;
  if (!hasHint(stanza, 'store') && !hasContent(stanza)) return false;
  return isWanted(account, direction === 'out' ? stanza.to : stanza.from); // XEP-0441 §2.2.2, §2.2.3
}

/** XEP-0313 §3: "all messages that hold meaningful content". What is not known to be passing may be that to somebody. */
function hasContent({ children }: Stanza): boolean {
  for (let i = 0; i < children.length; i++) {
    const { name, ns } = children[i]!;
    if (PASSING.has(ns) || (name === 'thread' && ns === NS.client)) continue;
    if (name === 'request' && ns === 'urn:xmpp:receipts') continue;
    return true;
  }
  return false;
}

/** XEP-0441 §2.2.1. What names the resource comes before what does not; what forbids before what allows. */
function isWanted(account: AccountContext, { full, bare }: Jid): boolean {
  const { preferences } = account.state(ARCHIVE);
  if (preferences !== undefined) {
    const { never, always } = preferences;
    if (never.has(full)) return false;
    if (always.has(full)) return true;
    if (never.has(bare)) return false;
    if (always.has(bare)) return true;
  }
  const behaviour = preferences?.default ?? optionsOf(account.host).default;
  return behaviour === 'roster' ? rosterOf(account).items.has(bare) : behaviour === 'always';
}
