/** Bookmarks between both forms. XEP-0402 §2, §6; XEP-0048 §2 */
import { el, type Element } from '../../xml/element.ts';
import { serialize } from '../../xml/serialize.ts';
import { parseElement } from '../../xml/tree.ts';
import { parseBoolean } from '../../xmpp/data-form.ts';
import { parseJid } from '../../xmpp/jid.ts';

/** Node and namespace of one item per room. */
export const BOOKMARKS = 'urn:xmpp:bookmarks:1';
/** Node and namespace of the list. */
export const LIST = 'storage:bookmarks';

export interface Bookmark {
  /** The room's address. */
  readonly id: string;
  readonly payload: string;
}

/** The list of these elements, as text that stands alone. */
export function listOf(elements: readonly Element[]): string {
  return serialize(el('storage', LIST, {}, ...elements), '\0');
}

/** @param old what the list was: bookmarks of pages have no other place. */
export function listText(items: readonly Bookmark[], old: string | undefined): string {
  const rooms = items.flatMap(({ id, payload }) => {
    const conference = parseElement(payload);
    if (conference === undefined || !conference.is('conference', BOOKMARKS)) return [];
    const { name, autojoin } = conference.attrs;
    return [el('conference', LIST, { jid: id, name, autojoin }, ...texts(conference, BOOKMARKS, LIST))];
  });
  const pages = old === undefined ? [] : (parseElement(old)?.elements() ?? []).filter((element) => !element.is('conference', LIST));
  return listOf([...rooms, ...pages]);
}

/** Nick and password, in another namespace. */
function texts(conference: Element, from: string, to: string): Element[] {
  return ['nick', 'password'].flatMap((name) => {
    const text = conference.child(name, from)?.text();
    return text === undefined ? [] : [el(name, to, {}, text)];
  });
}

/** What is to be written so that the items say what a list says. */
export function differences(
  list: Element,
  items: readonly Bookmark[],
): { readonly changed: readonly Bookmark[]; readonly gone: readonly string[] } {
  const known = new Map(items.map(({ id, payload }) => [id, parseElement(payload)]));
  const listed = new Set<string>();
  const changed: Bookmark[] = [];
  for (const conference of list.childrenNamed('conference', LIST)) {
    const id = parseJid(conference.attr('jid') ?? '')?.bare;
    if (id === undefined || listed.has(id)) continue;
    listed.add(id);
    const before = known.get(id);
    if (before !== undefined && isSame(conference, before)) continue;
    const { name, autojoin } = conference.attrs;
    const extensions = before?.child('extensions', BOOKMARKS); // §3.1: not to be lost
    const payload = el('conference', BOOKMARKS, { name, autojoin }, ...texts(conference, LIST, BOOKMARKS), extensions);
    changed.push({ id, payload: serialize(payload, '\0') });
  }
  return { changed, gone: items.map(({ id }) => id).filter((id) => !listed.has(id)) };
}

function isSame(listed: Element, item: Element): boolean {
  const join = (element: Element): boolean => parseBoolean(element.attr('autojoin') ?? '') ?? false;
  const text = (element: Element, name: string): string | undefined => element.child(name)?.text();
  return (
    (listed.attr('name') ?? '') === (item.attr('name') ?? '') &&
    join(listed) === join(item) &&
    text(listed, 'nick') === text(item, 'nick') &&
    text(listed, 'password') === text(item, 'password')
  );
}
