import assert from 'node:assert/strict';
import { test } from 'node:test';
import { el } from '../../src/xml/element.ts';
import { serialize } from '../../src/xml/serialize.ts';
import { delayElement, parseDelay } from '../../src/xmpp/delay.ts';
import { NS } from '../../src/xmpp/namespaces.ts';

const AT = Date.UTC(2002, 8, 10, 23, 8, 25);

test('XEP-0203 §2: the element, and back', () => {
  const element = delayElement('capulet.example', AT, 'Offline Storage');
  assert.equal(
    serialize(element),
    "<delay xmlns='urn:xmpp:delay' from='capulet.example' stamp='2002-09-10T23:08:25.000Z'>Offline Storage</delay>",
  );
  const delay = parseDelay(element);
  assert.deepEqual([delay?.from?.full, delay?.atMs, delay?.text], ['capulet.example', AT, 'Offline Storage']);
});

test('XEP-0203 §2: a stamp is required and is a DateTime; from and text are not', () => {
  assert.deepEqual(parseDelay(el('delay', NS.delay, { stamp: '2002-09-10T23:08:25Z' })), { from: undefined, atMs: AT, text: undefined });
  assert.equal(parseDelay(el('delay', NS.delay, { stamp: '2002-09-10T23:08:25Z', from: 'a b@c' }))?.from, undefined);
  for (const element of [
    el('delay', NS.delay, { from: 'a@b' }),
    el('delay', NS.delay, { stamp: '20020910T23:08:25' }),
    el('delay', 'jabber:x:delay', { stamp: '2002-09-10T23:08:25Z' }),
    el('x', NS.delay, { stamp: '2002-09-10T23:08:25Z' }),
  ]) {
    assert.equal(parseDelay(element), undefined);
  }
});
