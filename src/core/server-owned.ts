/** Elements that only the server may put into a message: what others wrote in its name is taken out. */
import { parseDelay } from '../xmpp/delay.ts';
import { STANZA_IDS } from '../xmpp/forwarding.ts';
import type { BareJid } from '../xmpp/jid.ts';
import { NS } from '../xmpp/namespaces.ts';
import type { Stanza } from '../xmpp/stanza.ts';

/** XEP-0359 §5: nobody but the account itself says what its ids are. */
export function withoutOwnIds(stanza: Stanza, bare: BareJid): Stanza {
  if (!stanza.has('stanza-id', STANZA_IDS)) return stanza;
  const { children } = stanza.element();
  const kept = children.filter((child) => typeof child === 'string' || !child.is('stanza-id', STANZA_IDS) || child.attr('by') !== bare);
  return kept.length === children.length ? stanza : stanza.withContent(kept);
}

/** XEP-0203 §5: only the server itself says that the server has delayed something. */
export function withoutOwnDelay(stanza: Stanza, domain: string): Stanza {
  if (!stanza.has('delay', NS.delay)) return stanza;
  const { children } = stanza.element();
  const kept = children.filter(
    (child) => typeof child === 'string' || !child.is('delay', NS.delay) || parseDelay(child)?.from?.full !== domain,
  );
  return kept.length === children.length ? stanza : stanza.withContent(kept);
}
