/** What the directory knows of somebody: from the vCard, as far as that says that anybody may know. XEP-0055 §4, XEP-0054 §5 */
import { el, type Element } from '../../xml/element.ts';

/** The fields of XEP-0055 §4, in its order. */
export const FIELDS = ['first', 'last', 'nick', 'email'] as const;
export type Field = (typeof FIELDS)[number];
export type Entry = Readonly<Record<Field, string>>;

/** Of a field; the rest is cut. UTF-16 units. */
export const MAX_LENGTH = 200;
const VCARD = 'vcard-temp';

export const ENTRY_NS = 'urn:rookery:directory:0';

/**
 * @param mustSay whether only a vCard that calls itself public is listed; otherwise only one that calls itself private or confidential is not.
 * @returns `undefined` for who is not to be listed.
 */
export function entryOf(vcard: Element, mustSay: boolean): Entry | undefined {
  const kind = vcard.child('CLASS', VCARD);
  const isPublic = kind?.child('PUBLIC') !== undefined;
  const isClosed = kind?.child('PRIVATE') !== undefined || kind?.child('CONFIDENTIAL') !== undefined;
  if (isClosed || (mustSay && !isPublic)) return undefined;
  const name = vcard.child('N', VCARD);
  const cut = (text: string | undefined): string => (text ?? '').trim().slice(0, MAX_LENGTH).toWellFormed();
  const entry: Entry = {
    first: cut(name?.child('GIVEN')?.text()),
    last: cut(name?.child('FAMILY')?.text()),
    nick: cut(vcard.child('NICKNAME')?.text() || vcard.child('FN')?.text()),
    email: cut(vcard.child('EMAIL')?.child('USERID')?.text()),
  };
  return FIELDS.some((field) => entry[field] !== '') ? entry : undefined;
}

/** From an account to its directory; without fields: not listed any more. */
export function entryElement(entry: Entry | undefined): Element {
  return el('entry', ENTRY_NS, {}, ...(entry === undefined ? [] : FIELDS.map((field) => el(field, ENTRY_NS, {}, entry[field]))));
}

export function readEntry(element: Element): Entry | undefined {
  if (element.elements().length === 0) return undefined;
  const text = (field: Field): string => element.child(field)?.text() ?? '';
  return { first: text('first'), last: text('last'), nick: text('nick'), email: text('email') };
}
