/** The hash of the photo in each presence, so that clients need not load it to know it. XEP-0153, XEP-0398 §4 */
import type { AccountContext } from '../../core/context.ts';
import { el } from '../../xml/element.ts';
import type { Stanza } from '../../xmpp/stanza.ts';
import { broadcastAvailable } from '../presence/index.ts';

const UPDATE = 'vcard-temp:x:update';
const HEAD = { name: 'x', ns: UPDATE };

/**
 * The presence with the hash. What says that there is none, by an empty `<photo/>`, stays (XEP-0398 §4).
 *
 * @param isOld it carries a hash of ours, which is another one now.
 */
export function withHash(presence: Stanza, sha1: string, isOld = false): Stanza {
  if (!presence.has('x', UPDATE)) return presence.withAppendedXml(`<x xmlns='${UPDATE}'>${photoXml(sha1)}</x>`, HEAD);
  const said = presence.child('x', UPDATE)!.child('photo')?.text().trim();
  if ((said === '' && !isOld) || said === sha1) return presence;
  const others = presence.element().children.filter((child) => typeof child === 'string' || !child.is('x', UPDATE));
  return presence.withContent([...others, el('x', UPDATE, {}, el('photo', UPDATE, {}, sha1))]);
}

function photoXml(sha1: string): string {
  return sha1 === '' ? '<photo/>' : `<photo>${sha1}</photo>`;
}

/** Those who see the presence of the account's clients get it anew. */
export function tellPhoto(account: AccountContext, sha1: string): void {
  for (const session of account.sessions)
    if (session.presence !== undefined) broadcastAvailable(withHash(session.presence, sha1, true), account, session);
}
