import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { el, type Element } from '../../src/xml/element.ts';
import { serialize } from '../../src/xml/serialize.ts';
import { NS } from '../../src/xmpp/namespaces.ts';
import { MAX_UID_LENGTH, pageOf, pageResultElement, parsePageRequest, type PageRequest } from '../../src/xmpp/rsm.ts';

const set = (...children: Element[]): Element => el('set', NS.rsm, {}, ...children);
const part = (name: string, text = ''): Element => el(name, NS.rsm, {}, text);
const NOTHING: PageRequest = { max: undefined, after: undefined, before: undefined, index: undefined };

test('XEP-0059 §2: requests', () => {
  const table: [Element, Partial<PageRequest>][] = [
    [set(), {}],
    [set(part('max', '10')), { max: 10 }],
    [set(part('max', ' 10 ')), { max: 10 }],
    [set(part('max', '10'), part('after', 'a@b')), { max: 10, after: 'a@b' }],
    [set(part('max', '10'), part('before', 'a@b')), { max: 10, before: 'a@b' }],
    [set(part('max', '10'), part('before')), { max: 10, before: '' }],
    [set(part('max', '10'), part('after')), { max: 10 }],
    [set(part('max', '10'), part('index', '371')), { max: 10, index: 371 }],
    [set(part('max', '0')), { max: 0 }],
    [set(part('max', '10'), el('other', 'urn:x', {}, 'y')), { max: 10 }],
  ];
  for (const [element, expected] of table) assert.deepEqual(parsePageRequest(element), { ...NOTHING, ...expected }, serialize(element));
});

test('XEP-0059 §2: malformed requests', () => {
  for (const element of [
    set(part('max')),
    set(part('max', '-1')),
    set(part('max', '1.5')),
    set(part('max', '2147483648')),
    set(part('max', '99999999999999999999')),
    set(part('max', '1'), part('max', '2')),
    set(part('index', 'x')),
    set(part('index', '1'), part('after', 'a')),
    set(part('index', '1'), part('before')),
    set(part('after', 'x'.repeat(MAX_UID_LENGTH + 1))),
    el('set', 'urn:x'),
  ]) {
    assert.equal(parsePageRequest(element), undefined, serialize(element));
  }
});

test('XEP-0059 §2.2 and §2.7: results', () => {
  assert.equal(
    serialize(pageResultElement({ first: 'a', last: 'b', firstIndex: 0, count: 800 })),
    "<set xmlns='http://jabber.org/protocol/rsm'><first index='0'>a</first><last>b</last><count>800</count></set>",
  );
  assert.equal(serialize(pageResultElement({ count: 800 })), "<set xmlns='http://jabber.org/protocol/rsm'><count>800</count></set>");
  assert.equal(
    serialize(pageResultElement({ first: 'a', last: 'a' })),
    "<set xmlns='http://jabber.org/protocol/rsm'><first>a</first><last>a</last></set>",
  );
});

const LETTERS = [...'abcdefghij'];
const page = (request: Partial<PageRequest>, maxItems = 4) => pageOf(LETTERS, { ...NOTHING, ...request }, (item) => item, maxItems);

test('XEP-0059 §2.1 to §2.7: pages', () => {
  const table: [Partial<PageRequest>, string, object][] = [
    [{}, 'abcd', { first: 'a', last: 'd', firstIndex: 0, count: 10 }],
    [{ max: 2 }, 'ab', { first: 'a', last: 'b', firstIndex: 0, count: 10 }],
    [{ max: 100 }, 'abcd', { first: 'a', last: 'd', firstIndex: 0, count: 10 }],
    [{ max: 3, after: 'c' }, 'def', { first: 'd', last: 'f', firstIndex: 3, count: 10 }],
    [{ after: 'i' }, 'j', { first: 'j', last: 'j', firstIndex: 9, count: 10 }],
    [{ after: 'j' }, '', { count: 10 }],
    [{ max: 3, before: 'e' }, 'bcd', { first: 'b', last: 'd', firstIndex: 1, count: 10 }],
    [{ max: 3, before: 'b' }, 'a', { first: 'a', last: 'a', firstIndex: 0, count: 10 }],
    [{ before: 'a' }, '', { count: 10 }],
    [{ max: 3, before: '' }, 'hij', { first: 'h', last: 'j', firstIndex: 7, count: 10 }],
    [{ max: 3, index: 5 }, 'fgh', { first: 'f', last: 'h', firstIndex: 5, count: 10 }],
    [{ index: 10 }, '', { count: 10 }],
    [{ max: 0 }, '', { count: 10 }],
    [{ after: 'b', before: 'e' }, 'cd', { first: 'c', last: 'd', firstIndex: 2, count: 10 }],
    [{ after: 'e', before: 'b' }, '', { count: 10 }],
  ];
  for (const [request, items, result] of table) {
    const found = page(request);
    assert.equal(found?.items.join(''), items, JSON.stringify(request));
    assert.deepEqual(found.result, result, JSON.stringify(request));
  }
  assert.equal(page({ after: 'x' }), undefined); // §2.4
  assert.equal(page({ before: 'x' }), undefined);
});

test('XEP-0059 §2.2 and §2.3: paging through either way sees every item once, in order', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(1000), { maxLength: 30 }), fc.integer({ min: 1, max: 7 }), (items, size) => {
      const forwards: number[] = [];
      for (let request: PageRequest = { ...NOTHING, max: size }; ;) {
        const { items: got, result } = pageOf(items, request, String, 100)!;
        if (got.length === 0) break;
        forwards.push(...got);
        request = { ...NOTHING, max: size, after: result.last };
      }
      assert.deepEqual(forwards, items);
      const backwards: number[] = [];
      for (let request: PageRequest = { ...NOTHING, max: size, before: '' }; ;) {
        const { items: got, result } = pageOf(items, request, String, 100)!;
        if (got.length === 0) break;
        backwards.unshift(...got);
        request = { ...NOTHING, max: size, before: result.first };
      }
      assert.deepEqual(backwards, items);
    }),
    { seed: 59, numRuns: 500 },
  );
});
