/** Result set management: large answers page by page. XEP-0059 */
import { el, type Element } from '../xml/element.ts';
import { NS } from './namespaces.ts';

/** Of an item's UID, in UTF-16 units; a longer one is none of ours. */
export const MAX_UID_LENGTH = 1024;

export interface PageRequest {
  /** Items wanted at most; 0 asks for the count alone (§2.7). `undefined`: as many as the server likes. */
  readonly max: number | undefined;
  /** Items after this one (§2.2). */
  readonly after: string | undefined;
  /** Items before this one; '' for the last page (§2.3, §2.5). Together with `after`: what is between. */
  readonly before: string | undefined;
  /** Items from this position on (§2.6); never together with a UID. */
  readonly index: number | undefined;
}

/** What is told of the page sent. */
export interface PageResult {
  /** UIDs of the first and last item sent; left out for an empty page (§2.2). */
  readonly first?: string | undefined;
  readonly last?: string | undefined;
  /** Position of the first item in the whole set, as far as it is known. */
  readonly firstIndex?: number | undefined;
  /** Items in the whole set, as far as it is known. */
  readonly count?: number | undefined;
}

/**
 * Reads a `<set/>`.
 *
 * @returns `undefined` where it is malformed: answer `<bad-request/>`.
 */
export function parsePageRequest(element: Element): PageRequest | undefined {
  if (!element.is('set', NS.rsm)) return undefined;
  const texts = new Map<string, string>();
  for (const child of element.elements()) {
    if (child.ns !== NS.rsm) continue;
    if (texts.has(child.name)) return undefined;
    texts.set(child.name, child.text());
  }
  const after = texts.get('after') || undefined; // empty: before the first item, §2.2
  const before = texts.get('before');
  const max = parseCount(texts.get('max'));
  const index = parseCount(texts.get('index'));
  if (max === null || index === null) return undefined;
  if (index !== undefined && (after !== undefined || before !== undefined)) return undefined;
  if ((after?.length ?? 0) > MAX_UID_LENGTH || (before?.length ?? 0) > MAX_UID_LENGTH) return undefined;
  return { max, after, before, index };
}

/** The `<set/>` of an answer. */
export function pageResultElement({ first, last, firstIndex, count }: PageResult): Element {
  return el(
    'set',
    NS.rsm,
    {},
    first !== undefined && el('first', NS.rsm, { index: firstIndex?.toString() }, first),
    last !== undefined && el('last', NS.rsm, {}, last),
    count !== undefined && el('count', NS.rsm, {}, String(count)),
  );
}

export interface Page<T> {
  readonly items: readonly T[];
  readonly result: PageResult;
}

/**
 * The page of a whole set at hand.
 *
 * @param items in order, each with a UID of its own. Cost: O(items) where a UID is given.
 * @param maxItems of a page, whatever is asked for.
 * @returns `undefined` where the item named is not there: answer `<item-not-found/>` (§2.4).
 */
export function pageOf<T>(items: readonly T[], request: PageRequest, uidOf: (item: T) => string, maxItems: number): Page<T> | undefined {
  const { after, before, index } = request;
  const size = Math.min(request.max ?? maxItems, maxItems);
  const count = items.length;
  let start = Math.min(index ?? 0, count);
  let end = count;
  if (after !== undefined) {
    const at = items.findIndex((item) => uidOf(item) === after);
    if (at === -1) return undefined;
    start = at + 1;
  }
  if (before !== undefined && before !== '') {
    end = items.findIndex((item) => uidOf(item) === before);
    if (end === -1) return undefined;
  }
  if (before !== undefined && after === undefined) start = Math.max(start, end - size);
  const page = items.slice(start, Math.max(start, Math.min(end, start + size)));
  if (page.length === 0) return { items: page, result: { count } };
  return { items: page, result: { first: uidOf(page[0]!), last: uidOf(page.at(-1)!), firstIndex: start, count } };
}

/** xs:int, not negative. @returns `null` where the text is none. */
function parseCount(text: string | undefined): number | undefined | null {
  if (text === undefined) return undefined;
  const trimmed = text.trim();
  if (!/^[0-9]{1,10}$/.test(trimmed)) return null;
  const value = Number(trimmed);
  return value <= 0x7fff_ffff ? value : null;
}
