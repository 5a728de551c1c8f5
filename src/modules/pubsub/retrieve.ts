/** Items, as they are asked for. XEP-0060 §6.5, XEP-0059 */
import { NO_ANSWER, type IqAnswer } from '../../core/module.ts';
import type { Element } from '../../xml/element.ts';
import { serialize } from '../../xml/serialize.ts';
import { NS } from '../../xmpp/namespaces.ts';
import { pageOf, pageResultElement, parsePageRequest, type PageRequest, type PageResult } from '../../xmpp/rsm.ts';
import type { Stanza } from '../../xmpp/stanza.ts';
import { StanzaError } from '../../xmpp/stanza-error.ts';
import { retrieveRefusal } from './access.ts';
import { pubsubError, unsupported } from './errors.ts';
import { itemXml, nodeAttr } from './events.ts';
import { PUBSUB } from './namespaces.ts';
import type { ItemHead } from './node.ts';
import { nodeOf } from './nodes.ts';
import { xmlResult, type Place } from './place.ts';

const PUBSUB_HEAD = { name: 'pubsub', ns: PUBSUB };
/** Items of one answer; the rest is for further pages. */
const MAX_PAGE = 1_000;
/** Of one answer, in characters: it is sent in one piece. One item comes in any case. */
const MAX_ANSWER = 400_000;

export function retrieve(place: Place, pubsub: Element, request: Stanza): IqAnswer {
  const asking = pubsub.child('items')!;
  const node = nodeOf(place, asking.attr('node'));
  if (node instanceof StanzaError) return node;
  const refusal = retrieveRefusal(place, node, request.from);
  if (refusal !== undefined) return refusal;
  const subid = asking.attr('subid');
  if (subid !== undefined && !hasSubid(node.subscriptions, subid, request)) return pubsubError('not-acceptable', 'invalid-subid'); // §6.5.9.2
  if (!node.config['pubsub#persist_items']) return unsupported('persistent-items'); // §6.5.9.9
  const ids = asking.childrenNamed('item').map((item) => item.attr('id') ?? '');
  const newest = node.newestFirst(place.now);
  const page = ids.length > 0 ? named(newest, ids) : paged(newest, asking, pubsub);
  if (page instanceof StanzaError) return page;
  const { heads, isPartial } = fitting(page.heads);
  place.readItems(node, heads, (current, items) => {
    const inner = items.map(({ id, payload }) => itemXml(id, payload)).join('');
    const set = page.result !== undefined || isPartial ? serialize(pageResultElement(resultFor(page, heads)), PUBSUB) : '';
    const list = inner === '' ? `<items${nodeAttr(node)}/>` : `<items${nodeAttr(node)}>${inner}</items>`;
    current.route(xmlResult(request, `<pubsub xmlns='${PUBSUB}'>${list}${set}</pubsub>`, PUBSUB_HEAD));
  });
  return NO_ANSWER;
}

function hasSubid(subscriptions: ReadonlyMap<string, { readonly subid: string }>, subid: string, { from }: Stanza): boolean {
  for (const jid of [from.full, from.bare]) if (subscriptions.get(jid)?.subid === subid) return true;
  return false;
}

interface Wanted {
  readonly heads: readonly ItemHead[];
  /** Undefined where no page was asked for. */
  readonly result: PageResult | undefined;
  readonly count: number;
}

/** §6.5.8: those that are there, in the order of the question. */
function named(newest: readonly ItemHead[], ids: readonly string[]): Wanted | StanzaError {
  const byId = new Map(newest.map((head) => [head.id, head]));
  const heads = [...new Set(ids)].flatMap((id) => byId.get(id) ?? []);
  if (heads.length === 0) return new StanzaError('item-not-found'); // §6.5.9.11
  return { heads, result: undefined, count: heads.length };
}

/** §6.5.4, §6.5.7 */
function paged(newest: readonly ItemHead[], asking: Element, pubsub: Element): Wanted | StanzaError {
  const most = countOf(asking.attr('max_items'));
  if (most === 'malformed') return new StanzaError('bad-request', 'max_items is no number');
  const among = most === undefined ? newest : newest.slice(0, most);
  const set = pubsub.child('set', NS.rsm);
  if (set === undefined) return { heads: among.slice(0, MAX_PAGE), result: among.length > MAX_PAGE ? {} : undefined, count: among.length };
  const request: PageRequest | undefined = parsePageRequest(set);
  if (request === undefined) return new StanzaError('bad-request', 'The page request is malformed');
  const page = pageOf(among, request, ({ id }) => id, MAX_PAGE);
  if (page === undefined) return new StanzaError('item-not-found'); // XEP-0059 §2.4
  return { heads: page.items, result: page.result, count: among.length };
}

function countOf(text: string | undefined): number | undefined | 'malformed' {
  if (text === undefined) return undefined;
  return /^[0-9]{1,9}$/.test(text) && Number(text) > 0 ? Number(text) : 'malformed';
}

/** As many as one answer takes. */
function fitting(heads: readonly ItemHead[]): { readonly heads: readonly ItemHead[]; readonly isPartial: boolean } {
  let size = 0;
  const end = heads.findIndex(({ bytes }, i) => (size += bytes) > MAX_ANSWER && i > 0);
  return end === -1 ? { heads, isPartial: false } : { heads: heads.slice(0, end), isPartial: true };
}

/** What is told of a page that may be shorter than planned. */
function resultFor({ result, count }: Wanted, heads: readonly ItemHead[]): PageResult {
  if (heads.length === 0) return { count };
  return { first: heads[0]!.id, last: heads.at(-1)!.id, firstIndex: result?.firstIndex ?? 0, count };
}
