/** The addresses of a stanza for several: reading them, and what each addressee gets to see of them. XEP-0033 §4 */
import { Element, el } from '../../xml/element.ts';
import { parseJid, type Jid } from '../../xmpp/jid.ts';
import { StanzaError } from '../../xmpp/stanza-error.ts';
import type { Stanza } from '../../xmpp/stanza.ts';

export const NS = 'http://jabber.org/protocol/address';

const RECIPIENTS: readonly string[] = ['to', 'cc', 'bcc'];
const TYPES: readonly string[] = [...RECIPIENTS, 'noreply', 'ofrom', 'replyroom', 'replyto'];

export interface Recipient {
  readonly jid: Jid;
  /** Its own address, where nobody else is to see that: a blind copy. */
  readonly blind: Element | undefined;
}

/** A stanza to be spread. */
export interface Multicast {
  /** Each once; those who have it already left out. */
  readonly recipients: readonly Recipient[];
  /** What all of them see: without blind copies, those who get it now marked. §4.6 */
  readonly shown: readonly Element[];
  /** Content beside the addresses. */
  readonly rest: readonly (Element | string)[];
}

/** @param max recipients. */
export function readAddresses(stanza: Stanza, max: number): Multicast | StanzaError {
  const recipients = new Map<string, Recipient>();
  const shown: Element[] = [];
  const content = stanza.element().children;
  const headers = content.filter((child) => typeof child !== 'string' && child.is('addresses', NS)) as readonly Element[];
  if (headers.length !== 1) return new StanzaError('bad-request', 'There is more than one list of addresses');
  for (const address of headers[0]!.childrenNamed('address')) {
    const type = address.attr('type') ?? '';
    const problem = problemOf(address, type);
    if (problem !== undefined) return problem;
    if (!RECIPIENTS.includes(type)) {
      shown.push(address);
      continue;
    }
    const isBlind = type === 'bcc';
    if (address.attr('delivered') === 'true') {
      if (!isBlind) shown.push(address); // "MUST NOT deliver"
      continue;
    }
    const jid = parseJid(address.attr('jid')!)!;
    if (!recipients.has(jid.full)) recipients.set(jid.full, { jid, blind: isBlind ? address : undefined });
    if (recipients.size > max) return new StanzaError('not-acceptable', `There are more than ${max} addresses`); // §8
    if (!isBlind) shown.push(delivered(address));
  }
  if (recipients.size === 0) return new StanzaError('bad-request', 'There is no address to send it to');
  return { recipients: [...recipients.values()], shown, rest: content.filter((child) => child !== headers[0]) };
}

/** The stanza as that recipient gets it. */
export function copyFor({ shown, rest }: Multicast, { jid, blind }: Recipient, stanza: Stanza): Stanza {
  const addresses = el('addresses', NS, {}, ...shown, blind);
  return stanza.withContent([addresses, ...rest]).readdressed(stanza.from, jid);
}

/** §4: "MUST possess a 'type'", "MUST NOT possess both", "MUST include a 'jid' or a 'uri'". */
function problemOf(address: Element, type: string): StanzaError | undefined {
  const jid = address.attr('jid');
  const uri = address.attr('uri');
  if (!TYPES.includes(type) || (jid !== undefined && uri !== undefined)) return new StanzaError('bad-request');
  if (uri !== undefined) return new StanzaError('jid-malformed', 'Only addresses of XMPP are understood'); // §4.2
  if (jid === undefined) return type === 'noreply' ? undefined : new StanzaError('bad-request');
  return parseJid(jid) === undefined ? new StanzaError('jid-malformed') : undefined;
}

function delivered({ name, ns, attrs, children }: Element): Element {
  return new Element(name, ns, Object.assign(Object.create(null), attrs, { delivered: 'true' }) as Record<string, string>, children);
}
