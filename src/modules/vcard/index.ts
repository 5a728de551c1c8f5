/** vCards of accounts, and the hash of their photo in presence. XEP-0054, XEP-0153 */
import { z } from 'zod';
import { bytes, count, oneOf } from '../../config/types.ts';
import type { AccountContext } from '../../core/context.ts';
import { defineModule, EMPTY_RESULT, NO_ANSWER, type IqAnswer, type IqRequest } from '../../core/module.ts';
import type { Portable } from '../../core/portable.ts';
import type { Element } from '../../xml/element.ts';
import { serialize } from '../../xml/serialize.ts';
import { inspectPicture, type Picture, type PictureJob } from '../../xmpp/picture.ts';
import { StanzaError } from '../../xmpp/stanza-error.ts';
import { errorAnswer, iqResult, Stanza } from '../../xmpp/stanza.ts';
import { rosterOf } from '../roster/index.ts';
import { withHash } from './presence-hash.ts';
import { PHOTO, readVcard, saveVcard, STATE, VCARD, VCARD_NS } from './state.ts';

export { photoHash, readVcard, setPhoto, VCARD_NS } from './state.ts';

const PAYLOAD = ['vCard', VCARD_NS] as const;

const OPTIONS = z.strictObject({
  /** Of a vCard, photo included. It cannot be longer than a stanza. */
  max_size: bytes({ min: 1024, max: 16 * 1024 * 1024 }).schema.default(256 * 1024),
  /** Pixels of either side of a photo; a larger one is kept, but neither announced nor converted. */
  max_pixels: count({ min: 16, max: 65_535 }).schema.default(4_096),
  /** Who may see vCards: anyone, or whoever sees the presence of the account. */
  visible_to: oneOf('anyone', 'contacts').schema.default('anyone'),
});

/** XEP-0227 §4.6 */
const PORTABLE: Portable = {
  tables: [VCARD, PHOTO],
  elements: [[...PAYLOAD]],
  async *write(account) {
    const text = await account.get(VCARD, []);
    if (text !== undefined) yield text;
  },
  read: (account) => ({
    take(element) {
      account.put(VCARD, [], serialize(element, '\0'));
      const picture = inspectPicture({ base64: photoText(element) ?? '', maxBytes: 16 * 1024 * 1024, maxPixels: 65_535 });
      account.put(PHOTO, [], { sha1: picture?.sha1 ?? '' });
      return true;
    },
  }),
};

const vcard = defineModule({
  name: 'vcard',
  implements: [
    { spec: 'XEP-0054', version: '1.3.0', status: 'complete' },
    { spec: 'XEP-0153', version: '1.1.1', status: 'complete', note: 'the server adds the hash' },
  ],
  needs: ['roster', 'presence'],
  config: OPTIONS,
  tables: [VCARD, PHOTO],
  portable: [PORTABLE],
  slots: [STATE],
  features: [VCARD_NS],
  accountFeatures: [VCARD_NS],
  iq: [
    { type: 'get', to: 'account', from: 'anyone', refusal: notFound, payload: PAYLOAD, run: retrieve },
    { type: 'set', to: 'account', refusal: 'forbidden', payload: PAYLOAD, run: update },
  ],
  hooks: {
    user_send_presence: { phase: 'enrich', run: addHash },
  },
});
export default vcard;

/** Where there is no account: as where there is no vCard. */
function notFound({ to }: Stanza): IqAnswer {
  return new StanzaError(to.isBare ? 'item-not-found' : 'service-unavailable');
}

/** XEP-0054 §3.1, §3.3 */
function retrieve({ from, stanza }: IqRequest, account: AccountContext): IqAnswer {
  const isClosed = account.host.moduleConfig(vcard).visible_to === 'contacts';
  if (isClosed && from.bare !== account.bare && !rosterOf(account).subscribers.has(from.bare)) return new StanzaError('item-not-found');
  account.later(readVcard(account), (current, text) => {
    if (text === undefined) {
      current.route(errorAnswer(stanza, new StanzaError('item-not-found')));
      return;
    }
    const children = [{ name: 'vCard', ns: VCARD_NS }];
    current.route(new Stanza({ kind: 'iq', type: 'result', id: stanza.id, from: stanza.to, to: stanza.from, body: text, children }));
  });
  return NO_ANSWER;
}

/** XEP-0054 §3.2 */
function update({ payload, stanza }: IqRequest, account: AccountContext): IqAnswer {
  if (account.isTemporary) return new StanzaError('not-allowed');
  const { max_size: maxBytes, max_pixels: maxPixels } = account.host.moduleConfig(vcard);
  if (stanza.bytes > maxBytes) return new StanzaError('not-acceptable', 'The vCard is too long');
  const base64 = photoText(payload);
  const generation = ++account.state(STATE).generation;
  if (base64 === undefined) {
    take(account, payload, undefined);
    return EMPTY_RESULT;
  }
  account.later(inspect(account, { base64, maxBytes, maxPixels }), (current, outcome) => {
    if (outcome === 'busy') {
      current.route(errorAnswer(stanza, new StanzaError('resource-constraint')));
      return;
    }
    if (current.state(STATE).generation === generation) take(current, payload, outcome);
    current.route(iqResult(stanza));
  });
  return NO_ANSWER;
}

function take(account: AccountContext, element: Element, picture: Picture | undefined): void {
  saveVcard(account, element, { sha1: picture?.sha1 ?? '' });
  account.host.hooks.emit('vcard_changed', account, element, picture);
}

/** In the pool: `busy` where too much waits for it. */
export async function inspect({ host }: AccountContext, job: PictureJob): Promise<Picture | undefined | 'busy'> {
  const { pool } = host.services;
  if (pool.inspectPicture === undefined) return inspectPicture(job);
  try {
    return await pool.inspectPicture(job);
  } catch {
    return 'busy';
  }
}

/** The image in the vCard, as it is written there; `undefined` for none. */
export function photoText(element: Element): string | undefined {
  const text = element.child('PHOTO')?.child('BINVAL')?.text().trim();
  return text === '' ? undefined : text;
}

/** XEP-0398 §4. Nothing to do for accounts that never had a vCard. */
function addHash(stanza: Stanza, account: AccountContext): Stanza {
  const { photo } = account.state(STATE);
  return photo === undefined || stanza.type !== 'available' ? stanza : withHash(stanza, photo.sha1);
}
