/** RFC 6121 §4.7.2.3: the priority element, read without a tree where that is safe. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePriority, readPriority } from '../../src/modules/presence/priority.ts';
import type { ChildHead } from '../../src/xml/frame.ts';
import { parseBody } from '../../src/xml/tree.ts';
import { parseJid } from '../../src/xmpp/jid.ts';
import { NS } from '../../src/xmpp/namespaces.ts';
import { StanzaError } from '../../src/xmpp/stanza-error.ts';
import { Stanza } from '../../src/xmpp/stanza.ts';

/** A presence as the framer would hand it up: the heads are those of the tree. */
function presence(body: string): Stanza {
  const nodes = parseBody(body, NS.client)!;
  const children = nodes.filter((node) => typeof node !== 'string').map(({ name, ns }): ChildHead => ({ name, ns }));
  return new Stanza({ kind: 'presence', type: 'available', from: parseJid('a@b.lit/c')!, to: parseJid('a@b.lit')!, body, children });
}

test('RFC 6121 §4.7.2.3: an integer from -128 to 127', () => {
  for (const [text, value] of [
    ['0', 0],
    ['5', 5],
    ['-1', -1],
    ['127', 127],
    ['-128', -128],
    ['+7', 7],
    ['007', 7],
    [' 3\n', 3],
    ['-0', 0],
  ] as const) {
    assert.equal(parsePriority(text), value, text);
    assert.ok(!Object.is(parsePriority(text), -0));
  }
  for (const text of ['', ' ', '128', '-129', '1.5', '1e1', '0x1', 'high', '--1', '1 2', '９', '99999999999999999999', 'NaN', 'Infinity']) {
    assert.equal(parsePriority(text), undefined, text);
  }
});

test('RFC 6121 §4.7.2.3: without the element the priority is zero', () => {
  assert.equal(readPriority(presence('')), 0);
  assert.equal(readPriority(presence('<show>away</show>')), 0);
  assert.equal(readPriority(presence("<priority xmlns='urn:other'>9</priority>")), 0);
  assert.equal(readPriority(presence("<x xmlns='urn:x'><priority>9</priority></x>")), 0);
});

test('RFC 6121 §4.7.2.3: the direct child counts, however it is written', () => {
  const cases: [string, number][] = [
    ['<priority>5</priority>', 5],
    ['<show>away</show><priority>-3</priority><status>x</status>', -3],
    ['<priority> 5 </priority>', 5],
    ["<priority xmlns='jabber:client'>6</priority>", 6],
    ["<p:priority xmlns:p='jabber:client'>6</p:priority>", 6],
    ['<priority>&#53;</priority>', 5],
    ["<x xmlns='urn:x'><priority>9</priority></x><priority>4</priority>", 4],
    ["<x xmlns='urn:x'><priority>9</priority></x><priority xmlns='jabber:client'>4</priority>", 4],
    ['<status>my priority</status><priority>2</priority>', 2],
    ['<priority>2</priority><status>top priority</status>', 2],
  ];
  for (const [body, value] of cases) assert.equal(readPriority(presence(body)), value, body);
});

test('RFC 6121 §4.7.2.3: anything else is a bad request', () => {
  const bodies = [
    '<priority/>',
    '<priority></priority>',
    '<priority>128</priority>',
    '<priority>1</priority><priority>2</priority>',
    '<priority>1<b/></priority>',
    '<priority>x</priority>',
    '<priority/><status>priority</status>',
  ];
  for (const body of bodies) {
    const answer = readPriority(presence(body));
    assert.ok(answer instanceof StanzaError && answer.condition === 'bad-request', body);
  }
});
