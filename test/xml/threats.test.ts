/** Attacks that hit other XMPP servers in their XML layer. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Frame, FrameError, FramerLimits } from '../../src/xml/frame.ts';
import { Framer } from '../../src/xml/framer.ts';
import { LIMITS_BEFORE_LOGIN, LIMITS_OF_CLIENT, LIMITS_OF_SERVER } from '../../src/xml/limits.ts';
import { elementOf, parseElement } from '../../src/xml/tree.ts';
import { HEADER, framesOf } from './reading.ts';

function endOf(text: string | Buffer, limits: FramerLimits = LIMITS_OF_CLIENT): string {
  const bytes = typeof text === 'string' ? Buffer.from(text) : text;
  const last = framesOf([Buffer.from(HEADER), bytes], limits).at(-1)!;
  return last.kind === 'error' ? last.condition : last.kind;
}

const LAUGHS = `<!DOCTYPE lolz [<!ENTITY lol "lol">${Array.from({ length: 9 }, (_, i) => `<!ENTITY lol${i + 1} "${`&lol${i || ''};`.repeat(10)}">`).join('')}]>`;

test('billion laughs: a DTD is refused before a header, between elements and inside of one, at its third byte', () => {
  const fresh = new Framer({ limits: LIMITS_BEFORE_LOGIN });
  fresh.push(Buffer.from(`<?xml version='1.0'?>${LAUGHS}`));
  assert.equal((fresh.next() as FrameError).condition, 'restricted-xml');
  assert.equal(endOf(`${LAUGHS}<message>&lol9;</message>`), 'restricted-xml');
  assert.equal(endOf(`<message>${LAUGHS}&lol9;</message>`), 'restricted-xml');
  assert.equal(endOf('<!D'), 'restricted-xml');
  assert.equal(endOf('<message>&lol9;'), 'restricted-xml');
  assert.equal(parseElement(`${LAUGHS}<message>&lol9;</message>`), undefined);
});

test('external entities: neither declared nor used', () => {
  assert.equal(endOf('<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>'), 'restricted-xml');
  assert.equal(endOf('<a>&xxe;</a>'), 'restricted-xml');
  assert.equal(endOf('<a>%xxe;</a>'), 'element');
});

test('CVE-2022-0217: one parser for everything: fragments and documents refuse the same', () => {
  for (const text of [LAUGHS + '<open/>', '<open><!-- --></open>', '<open><?p?></open>', '<open>&nbsp;</open>']) {
    const framer = new Framer({ limits: LIMITS_OF_CLIENT, contentNs: '' });
    framer.push(Buffer.from(text));
    assert.equal((framer.next() as FrameError).condition, 'restricted-xml', text.slice(0, 20));
    assert.equal(parseElement(text), undefined);
  }
});

test('amplification: before login nothing large, deep or numerous is taken', () => {
  const flood: readonly string[] = [
    `<a>${'x'.repeat(8192)}`,
    `<a b='${'x'.repeat(8192)}`,
    '<a>'.repeat(9),
    `<a>${'<b/>'.repeat(32)}`,
    `<a ${Array.from({ length: 25 }, (_, i) => `b${i}='' `).join('')}`,
    `<${'a'.repeat(129)}`,
    `<a ${'b'.repeat(129)}`,
    `<a ${Array.from({ length: 17 }, (_, i) => `xmlns:p${i}='u' `).join('')}/>`,
    ' '.repeat(1025),
    `<a>&#${'0'.repeat(8192)}`,
    `<a><![CDATA[${']'.repeat(8192)}`,
    `<a${' '.repeat(8192)}`,
  ];
  for (const text of flood) assert.equal(endOf(text, LIMITS_BEFORE_LOGIN), 'policy-violation', text.slice(0, 20));
});

test('amplification: after login no limit is absent (CVE-2026-43507, CVE-2021-32918)', () => {
  for (const limits of [LIMITS_OF_CLIENT, LIMITS_OF_SERVER]) {
    for (const limit of Object.values(limits)) assert.ok(Number.isSafeInteger(limit) && limit > 0 && limit <= 512 * 1024);
    const flood = [
      `<a>${'x'.repeat(limits.maxBytes)}`,
      '<a>'.repeat(65),
      `<a>${'<b/>'.repeat(limits.maxElements)}`,
      `<a ${Array.from({ length: 65 }, (_, i) => `b${i}='' `).join('')}`,
      `<${'a'.repeat(257)}`,
      ' '.repeat(65_537),
    ];
    for (const text of flood) assert.equal(endOf(text, limits), 'policy-violation', text.slice(0, 20));
  }
});

test('an attribute or a namespace in every element costs what its bytes cost', () => {
  const many = `<a>${"<b xmlns:c='u' c:d='1' c:e='2'/>".repeat(4000)}</a>`;
  assert.equal(endOf(many), 'element');
});

test('smuggling: no stream element inside of a stanza, by whatever prefix or default', () => {
  const inner = [
    '<stream:stream>',
    "<stream:stream xmlns:stream='http://etherx.jabber.org/streams'/>",
    "<s:stream xmlns:s='http://etherx.jabber.org/streams'/>",
    "<stream xmlns='http://etherx.jabber.org/streams'/>",
    "<s:features xmlns:s='http://etherx.jabber.org/streams'/>",
    "<x xmlns='http://etherx.jabber.org/streams'/>",
    "<x xmlns='http://etherx.jabber.org/&#x73;treams'/>",
    "<x xmlns='http://etherx.jabber.org/streams' xmlns:y='u'><y:z><w/></y:z></x>",
  ];
  for (const text of inner) assert.equal(endOf(`<message><body>${text}</body></message>`), 'bad-format', text);
  assert.equal(endOf('</message></stream:stream><stream:stream>'), 'not-well-formed');
});

test('smuggling: a body cannot close what it stands in', () => {
  for (const text of ['</message>', '<a></message></a>', '</body></message><message>', '<a/></stream:stream>']) {
    const results = framesOf([Buffer.from(`${HEADER}<message><body>${text}</body></message>`)]);
    const frame = results.find((result): result is Frame => result.kind === 'element');
    if (frame !== undefined) assert.ok(parseElement(`<x xmlns='jabber:client'>${frame.body}</x>`), text);
    assert.equal(results.at(-1)?.kind, 'error', text);
  }
});

test('smuggling: no parser differential by UTF-8 (CVE-2022-25235), control characters or white space', () => {
  for (const hex of ['c0bc', 'e080bc', 'f08080bc', 'c3', 'e2809c3c'.slice(0, 4), 'ed9fbfeda080']) {
    assert.equal(endOf(Buffer.concat([Buffer.from('<a>'), Buffer.from(hex, 'hex'), Buffer.from('</a>')])), 'unsupported-encoding', hex);
  }
  for (const space of ['\u000b', '\u000c', '\u0085', '\u00a0', '\u1680', '\u2028', '\u3000', '\ufeff']) {
    assert.notEqual(endOf(`<a${space}b='1'/>`), 'element', JSON.stringify(space));
    assert.notEqual(endOf(`<a b='1'${space}/>`), 'element', JSON.stringify(space));
    assert.notEqual(endOf(`<a></a${space}>`), 'element', JSON.stringify(space));
  }
});

test('smuggling: the default namespace of a prefixed stanza does not leak into what is forwarded', () => {
  const [, frame] = framesOf([Buffer.from(`${HEADER}<c:message xmlns:c='jabber:client' xmlns='urn:evil'><body>x</body></c:message>`)]) as [
    Frame,
    Frame,
  ];
  assert.equal(frame.ns, 'jabber:client');
  assert.deepEqual(frame.children, [{ name: 'body', ns: 'urn:evil' }]);
  const forwarded = parseElement(`<message xmlns='jabber:client'>${frame.body}</message>`);
  assert.equal(forwarded?.child('body'), undefined);
  assert.ok(forwarded?.child('body', 'urn:evil'));
});

test('prototype pollution: names of peers reach no object of ours', () => {
  const [, frame] = framesOf([
    Buffer.from(
      `${HEADER}<__proto__ __proto__='a' constructor='b'><constructor polluted='1'/><__proto__ polluted='2'><polluted>3</polluted></__proto__></__proto__>`,
    ),
  ]) as [Frame, Frame];
  const element = elementOf(frame)!;
  assert.equal(element.name, '__proto__');
  assert.deepEqual(Object.keys(element.attrs), ['__proto__', 'constructor']);
  assert.equal(({} as Record<string, unknown>)['polluted'], undefined);
  assert.equal((Object as unknown as Record<string, unknown>)['polluted'], undefined);
});

test('errors never echo what the peer sent', () => {
  for (const text of ['<secret-a></secret-b>', '<a>&secret;</a>', '<secret:a/>', '<a secret="1" secret="2"/>', 'secret']) {
    const error = framesOf([Buffer.from(HEADER + text)]).at(-1) as FrameError;
    assert.equal(error.kind, 'error');
    assert.doesNotMatch(error.text, /secret/);
  }
});
