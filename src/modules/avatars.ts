/** Avatars in nodes and in vCards are the same one. XEP-0084, XEP-0398 */
import { z } from 'zod';
import { flag } from '../config/types.ts';
import type { AccountContext } from '../core/context.ts';
import { defineModule } from '../core/module.ts';
import { el, type Element } from '../xml/element.ts';
import { serialize } from '../xml/serialize.ts';
import { parseElement } from '../xml/tree.ts';
import type { Picture } from '../xmpp/picture.ts';
import { ownNode, publishOwn, readOwn } from './pep/index.ts';
import { inspect, photoHash, photoText, setPhoto } from './vcard/index.ts';

const DATA = 'urn:xmpp:avatar:data';
const METADATA = 'urn:xmpp:avatar:metadata';

/** Of an image, before it is text. XEP-0084 §4.1 wants it small. */
const MAX_BYTES = 1024 * 1024;

const OPTIONS = z.strictObject({
  /** Whether avatars that only contacts may see get into the vCard, which may show them to anyone. XEP-0398 §7 */
  from_closed_nodes: flag().schema.default(false),
  /** Pixels of either side of an avatar that is converted. */
  max_pixels: z.int().min(16).max(65_535).default(4_096),
});

const avatars = defineModule({
  name: 'avatars',
  implements: [
    { spec: 'XEP-0084', version: '1.1.4', status: 'complete' },
    { spec: 'XEP-0398', version: '1.0.0', status: 'complete', note: 'in both directions' },
  ],
  needs: ['pep', 'vcard'],
  config: OPTIONS,
  accountFeatures: ['urn:xmpp:pep-vcard-conversion:0'], // XEP-0398 §2
  hooks: {
    node_changed(account, node, _id, payload) {
      if (node === METADATA) toVcard(account, payload);
    },
    vcard_changed: toNodes,
  },
});
export default avatars;

/** XEP-0398 §3.1 */
function toVcard(account: AccountContext, payload: string | undefined): void {
  const metadata = payload === undefined ? undefined : parseElement(payload);
  // "MUST pick the info element that does not point to an external URL"
  const info = metadata?.childrenNamed('info', METADATA).find((each) => each.attr('url') === undefined);
  const sha1 = info?.attr('id')?.toLowerCase() ?? '';
  if (sha1 === photoHash(account)) return;
  if (sha1 === '') {
    setPhoto(account, undefined); // XEP-0084 §4.4
    return;
  }
  if (!isConverted(account)) return;
  readOwn(account, DATA, (current, items) => {
    const text = items.find(({ id }) => id.toLowerCase() === sha1)?.payload;
    const base64 = (text === undefined ? undefined : parseElement(text))?.text() ?? '';
    const { max_pixels: maxPixels } = current.host.moduleConfig(avatars);
    current.later(inspect(current, { base64, maxBytes: MAX_BYTES, maxPixels }), (later, picture) => {
      // "SHOULD verify that the SHA-1 hash of the image matches the id"
      if (picture === undefined || picture === 'busy' || picture.sha1 !== sha1) return;
      setPhoto(later, { sha1, type: picture.type, base64: base64.replace(/\s+/g, '') });
    });
  });
}

/** XEP-0398 §7: what not everybody may see is not shown to everybody. */
function isConverted(account: AccountContext): boolean {
  if (account.host.moduleConfig(avatars).from_closed_nodes) return true;
  return [DATA, METADATA].every((name) => ownNode(account, name)?.config['pubsub#access_model'] === 'open');
}

const NODE_OPTIONS = { 'pubsub#access_model': 'open', 'pubsub#persist_items': true, 'pubsub#max_items': 1 } as const;

/** XEP-0398 §3.2 */
function toNodes(account: AccountContext, vcard: Element, picture: Picture | undefined): void {
  const last = ownNode(account, METADATA)?.lastItem(account.now);
  if (picture === undefined) {
    const isShown = last !== undefined && last.id !== NO_AVATAR && photoText(vcard) === undefined;
    if (isShown)
      publishOwn(account, { node: METADATA, id: NO_AVATAR, payload: serialize(el('metadata', METADATA), '\0'), options: NODE_OPTIONS });
    return;
  }
  const { sha1, type, bytes, width, height } = picture;
  if (last?.id === sha1) return;
  const data = serialize(el('data', DATA, {}, photoText(vcard)!.replace(/\s+/g, '')), '\0');
  const isTaken = publishOwn(account, { node: DATA, id: sha1, payload: data, options: NODE_OPTIONS });
  if (!isTaken) return;
  const info = el('info', METADATA, { id: sha1, type, bytes: String(bytes), width: String(width), height: String(height) });
  publishOwn(account, { node: METADATA, id: sha1, payload: serialize(el('metadata', METADATA, {}, info), '\0'), options: NODE_OPTIONS });
}

/** Id of the item that says that there is none. */
const NO_AVATAR = 'none';
