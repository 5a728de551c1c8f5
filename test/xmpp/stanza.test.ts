/** Stanzas as text for a stream; what the same reader gets one after the other is joined of fewer pieces. RFC 6120 §8.1 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseJid } from '../../src/xmpp/jid.ts';
import { LastHead, Stanza, type StanzaInit } from '../../src/xmpp/stanza.ts';

const jid = (text: string) => parseJid(text)!;
const romeo = jid('romeo@montague.lit/orchard');
const juliet = jid("juliet@capulet.lit/o'balcony");
const nurse = jid('nurse@capulet.lit');
const stanza = (init: Partial<StanzaInit>): Stanza => new Stanza({ kind: 'message', type: 'chat', from: romeo, to: juliet, ...init });

test('a stanza as text: what has its default is left out, values are escaped', () => {
  assert.equal(
    stanza({ id: `<'&">`, lang: 'de', body: '<body>Aye</body>' }).toXml(),
    "<message from='romeo@montague.lit/orchard' to='juliet@capulet.lit/o&apos;balcony' type='chat'" +
      " id='&lt;&apos;&amp;&quot;&gt;' xml:lang='de'><body>Aye</body></message>",
  );
  assert.equal(stanza({ type: 'normal', to: nurse }).toXml(), "<message from='romeo@montague.lit/orchard' to='nurse@capulet.lit'/>");
  assert.equal(
    stanza({ kind: 'presence', type: 'available', to: nurse, body: '<show>away</show>' }).toXml(),
    "<presence from='romeo@montague.lit/orchard' to='nurse@capulet.lit'><show>away</show></presence>",
  );
});

test('what the last one began with changes nothing of the next', () => {
  const again = new Stanza({ kind: 'message', type: 'chat', from: jid(romeo.full), to: jid(juliet.full) });
  const kinds: Partial<StanzaInit>[] = [
    {},
    { type: 'normal' },
    { type: 'error' },
    { from: juliet, to: romeo },
    { to: nurse },
    { from: nurse },
    { from: again.from, to: again.to },
    { kind: 'presence', type: 'available' },
    { kind: 'presence', type: 'error' },
    { kind: 'iq', type: 'error', id: 'q' },
  ];
  const last = new LastHead();
  // Each kind follows each, with one, two and three of a kind in a row.
  for (const first of kinds) {
    for (const second of kinds) {
      for (const [i, init] of [first, second, first, first, second, second, second].entries()) {
        const each = stanza({ id: `m${i}`, ...init, body: `<body>${i}</body>` });
        assert.equal(each.toXml(last), each.toXml());
      }
    }
  }
});

test('what is appended is in the new stanza and not in the old, however many children there are', () => {
  const head = { name: 'x', ns: 'urn:x' };
  for (let count = 0; count < 4; count++) {
    const children = Array.from({ length: count }, (_, i) => ({ name: `c${i}`, ns: 'urn:c' }));
    const before = stanza({ body: 'b', children });
    const after = before.withAppendedXml("<x xmlns='urn:x'/>", head);
    assert.deepEqual(after.children, [...children, head]);
    assert.equal(after.body, "b<x xmlns='urn:x'/>");
    assert.deepEqual([before.children.length, before.body], [count, 'b']);
    assert.equal(after.bytes - before.bytes, "<x xmlns='urn:x'/>".length);
  }
});
