import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Element, el } from '../../src/xml/element.ts';
import { escapeAttr, escapeText, serialize, serializeChildren } from '../../src/xml/serialize.ts';
import { parseElement } from '../../src/xml/tree.ts';
import { plainOf } from './reading.ts';

const STREAMS = 'http://etherx.jabber.org/streams';
const XML = 'http://www.w3.org/XML/1998/namespace';
const XMLNS = 'http://www.w3.org/2000/xmlns/';

test('xmlns is written where the namespace changes, and only there', () => {
  const iq = el(
    'iq',
    'jabber:client',
    { type: 'get' },
    el('query', 'jabber:iq:roster', {}, el('item', 'jabber:iq:roster'), el('none', '')),
  );
  assert.equal(serialize(iq, 'jabber:client'), "<iq type='get'><query xmlns='jabber:iq:roster'><item/><none xmlns=''/></query></iq>");
  assert.equal(serialize(iq), "<iq xmlns='jabber:client' type='get'><query xmlns='jabber:iq:roster'><item/><none xmlns=''/></query></iq>");
  assert.equal(serializeChildren(iq), "<query xmlns='jabber:iq:roster'><item/><none xmlns=''/></query>");
  assert.equal(serialize(el('a', ''), 'u'), "<a xmlns=''/>");
});

test('attributes of a namespace get a prefix; xml:lang has its own', () => {
  const element = el('a', 'u', { 'xml:lang': 'en', '{urn:p}b': '1', '{urn:q}b': '2', b: '3', [`{${XML}}space`]: 'preserve', '{}c': '4' });
  const text = serialize(element);
  assert.equal(
    text,
    "<a xmlns='u' xml:lang='en' xmlns:ns0='urn:p' ns0:b='1' xmlns:ns1='urn:q' ns1:b='2' b='3' xml:space='preserve' c='4'/>",
  );
  assert.deepEqual(
    { ...parseElement(text)?.attrs },
    { 'xml:lang': 'en', '{urn:p}b': '1', '{urn:q}b': '2', b: '3', [`{${XML}}space`]: 'preserve', c: '4' },
  );
});

test('an element in the namespace of the prefix xml', () => {
  const element = el('a', XML, {}, el('b', 'u', {}, el('c', XML)));
  assert.deepEqual(plainOf(parseElement(serialize(element))!), plainOf(element));
});

test('escapes: what would be read differently is written as a reference', () => {
  assert.equal(escapeText(`a<b>&'"\r\n\t]]>`), `a&lt;b&gt;&amp;'"&#13;\n\t]]&gt;`);
  assert.equal(escapeAttr(`a<b>&'"\r\n\t`), 'a&lt;b&gt;&amp;&apos;&quot;&#13;&#10;&#9;');
  const plain = 'nothing to escape: été 日本 😀';
  assert.equal(escapeText(plain), plain);
  assert.equal(escapeAttr(plain), plain);
});

test('what XML cannot express becomes U+FFFD', () => {
  for (const char of ['\0', '\u0001', '\u0008', '\u000b', '\u001f', '\ufffe', '\uffff', '\ud800', '\udfff', '\udc00\ud800'.charAt(0)]) {
    assert.equal(escapeText(`a${char}b`), 'a\ufffdb', JSON.stringify(char));
    assert.equal(escapeAttr(`a${char}<`), 'a\ufffd&lt;', JSON.stringify(char));
  }
});

test('every text and value is read back as it was written', () => {
  const strings = [
    '',
    ' ',
    '\n',
    '\r',
    '\r\n',
    '\t',
    '&',
    '&amp;',
    '&#65;',
    ']]>',
    '<![CDATA[',
    '-->',
    `'"`,
    '😀',
    '\u0085\u2028\ufeff',
    'x'.repeat(600),
    '&lt;'.repeat(200),
  ];
  for (const text of strings) {
    const element = el('a', 'u', { b: text, '{urn:p}c': text, 'xml:lang': text }, text, el('b', text, {}, text));
    assert.deepEqual(plainOf(parseElement(serialize(element))!), plainOf(element), JSON.stringify(text.slice(0, 20)));
  }
});

test('what is no name, and what the framer would refuse, throws before it becomes markup', () => {
  const bad = ['', 'a b', 'a>', '1a', '-a', 'a:b', ':', 'a:', "a='x", 'a/', '\u00d7', 'a\ufeff', '\u{10000}', 'a\u1680'];
  for (const name of bad) {
    assert.throws(() => serialize(el(name, 'u')), TypeError, name);
    assert.throws(() => serialize(el('a', 'u', { [name]: '1' })), TypeError, name);
    assert.throws(() => serialize(el('a', 'u', { [`{urn:p}${name}`]: '1' })), TypeError, name);
  }
  assert.throws(() => serialize(el('a', 'u', { xmlns: 'v' })), TypeError);
  assert.throws(() => serialize(el('a', 'u', { 'xmlns:p': 'v' })), TypeError);
  assert.throws(() => serialize(el('a', 'u', { [`{${XMLNS}}p`]: 'v' })), TypeError);
  assert.throws(() => serialize(el('a', XMLNS)), TypeError);
  assert.throws(() => serialize(el('a', 'u', {}, el('stream', STREAMS))), TypeError);
  assert.throws(() => serialize(el('a', 'u', {}, el('b', 'u', {}, el('error', STREAMS)))), TypeError);
  assert.equal(serialize(el('error', STREAMS, {}, el('x', 'u')), STREAMS), "<error><x xmlns='u'/></error>");
});

test('a namespace in an attribute name may have braces', () => {
  const element = new Element('a', 'u', { '{urn:{x}}b': '1' }, []);
  assert.deepEqual(plainOf(parseElement(serialize(element))!), plainOf(element));
});
