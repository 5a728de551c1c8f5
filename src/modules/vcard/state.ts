/** An account's vCard: one row with its text, one with what its photo is. Only the latter is in memory. */
import type { AccountContext } from '../../core/context.ts';
import type { AccountSlot } from '../../core/module.ts';
import { jsonTable } from '../../store/codec.ts';
import { el, Element } from '../../xml/element.ts';
import { serialize } from '../../xml/serialize.ts';
import { parseElement } from '../../xml/tree.ts';
import { tellPhoto } from './presence-hash.ts';

export const VCARD_NS = 'vcard-temp';

/** Text of the element. One row. */
export const VCARD = jsonTable<string>({ name: 'vcard', version: 1 });

export interface Photo {
  /** Of the image, lower case hexadecimal; '' where the vCard has none that could be told. XEP-0153 §3.1 */
  readonly sha1: string;
}
/** One row, as soon as there was a vCard. */
export const PHOTO = jsonTable<Photo>({ name: 'vcard_photo', version: 1 });

export interface VcardState {
  /** Undefined: there never was a vCard, so presence stays as it is. */
  photo: Photo | undefined;
  /** Grows with each change: of two that wait for the pool, the later one counts. */
  generation: number;
}

export const STATE: AccountSlot<VcardState> = {
  name: 'vcard',
  load: async (store, bare) => ({ photo: await store.get(PHOTO, bare, []), generation: 0 }),
};

/** Behind what this turn changes. */
export function readVcard(account: AccountContext): Promise<string | undefined> {
  const { store } = account.host.services;
  return Promise.resolve().then(() => store.get(VCARD, account.bare, []));
}

/** Writes the vCard, and says to all who see the account's presence if the photo is another one. */
export function saveVcard(account: AccountContext, vcard: Element, photo: Photo): void {
  const state = account.state(STATE);
  const before = state.photo;
  state.photo = photo;
  account.put(VCARD, [], serialize(vcard, '\0'));
  account.put(PHOTO, [], photo);
  if ((before?.sha1 ?? '') !== photo.sha1) tellPhoto(account, photo.sha1);
}

export interface NewPhoto extends Photo {
  readonly type: string;
  readonly base64: string;
}

/** The photo alone is another one, or none. XEP-0398 §3.1 */
export function setPhoto(account: AccountContext, photo: NewPhoto | undefined): void {
  const generation = ++account.state(STATE).generation;
  account.later(readVcard(account), (current, text) => {
    if (current.state(STATE).generation !== generation) return;
    const old = (text === undefined ? undefined : parseElement(text)) ?? el('vCard', VCARD_NS);
    const others = old.children.filter((child) => typeof child === 'string' || !child.is('PHOTO', VCARD_NS));
    const element = photo && el('PHOTO', VCARD_NS, {}, el('TYPE', VCARD_NS, {}, photo.type), el('BINVAL', VCARD_NS, {}, photo.base64));
    saveVcard(current, new Element('vCard', VCARD_NS, old.attrs, element === undefined ? others : [...others, element]), {
      sha1: photo?.sha1 ?? '',
    });
  });
}

/** Of the photo that presence shows; '' for none. */
export function photoHash(account: AccountContext): string {
  return account.state(STATE).photo?.sha1 ?? '';
}
