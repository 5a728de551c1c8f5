/** What a roster set asks for, or why it is refused. RFC 6121 §2.1.5, §2.3.3, §2.5 */
import type { Element } from '../../xml/element.ts';
import { parseJid, type BareJid, type Jid } from '../../xmpp/jid.ts';
import { opaqueString } from '../../xmpp/precis.ts';
import { StanzaError } from '../../xmpp/stanza-error.ts';
import { NS_ROSTER } from './item.ts';

/** Of a name and of each group, in UTF-8; the same as of a part of a JID. */
export const MAX_NAME_BYTES = 1023;
export const MAX_GROUPS = 32;

export type RosterSet =
  | { readonly action: 'update'; readonly contact: Jid; readonly name: string; readonly groups: readonly string[] }
  | { readonly action: 'remove'; readonly contact: Jid };

/**
 * Reads a roster set. `subscription` (but for `remove`), `ask` and `approved` are not the client's to
 * say and are ignored (§2.1.2.1, §2.1.2.2, §2.1.2.5). A full JID stands for the bare one.
 *
 * @param query the payload of the IQ. @param owner whose roster it is.
 */
export function readRosterSet(query: Element, owner: BareJid): RosterSet | StanzaError {
  const items = query.childrenNamed('item', NS_ROSTER);
  const item = items[0];
  if (item === undefined || items.length > 1) return new StanzaError('bad-request', 'A roster set has exactly one item'); // §2.3.3
  const address = item.attr('jid');
  if (address === undefined) return new StanzaError('bad-request', 'The item has no jid'); // §2.1.2.3
  const contact = parseJid(address)?.toBare();
  if (contact === undefined) return new StanzaError('jid-malformed');
  if (item.attr('subscription') === 'remove') return { action: 'remove', contact };
  if (contact.bare === owner) return new StanzaError('not-allowed', 'An account cannot be its own contact'); // §2.3.3, last note
  const name = item.attr('name') ?? ''; // §2.4.1: no name and the empty name are the same
  if (Buffer.byteLength(name) > MAX_NAME_BYTES) return new StanzaError('not-acceptable', 'The name is too long'); // §2.3.3
  const groups = item.childrenNamed('group', NS_ROSTER).map((group) => group.text());
  const refusal = whyNotGroups(groups);
  return refusal ?? { action: 'update', contact, name, groups };
}

/** §2.3.3 */
function whyNotGroups(groups: readonly string[]): StanzaError | undefined {
  if (groups.length > MAX_GROUPS) return new StanzaError('not-acceptable', 'The item is in too many groups');
  const seen = new Set<string>();
  for (const group of groups) {
    if (group === '') return new StanzaError('not-acceptable', 'A group has no name');
    if (Buffer.byteLength(group) > MAX_NAME_BYTES) return new StanzaError('not-acceptable', 'The name of a group is too long');
    const key = opaqueString(group) ?? group; // compared as resourceparts are
    if (seen.has(key)) return new StanzaError('bad-request', 'A group is named twice');
    seen.add(key);
  }
  return undefined;
}
