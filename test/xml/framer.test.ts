import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Frame } from '../../src/xml/frame.ts';
import { Framer } from '../../src/xml/framer.ts';
import { LIMITS_BEFORE_LOGIN, LIMITS_OF_CLIENT } from '../../src/xml/limits.ts';
import { HEADER, bytesOf, framesOf } from './reading.ts';
import { SAMPLES } from './samples.ts';

function frameOf(xml: string, header = HEADER): Frame {
  const results = framesOf([Buffer.from(header + xml)]);
  const frame = results[1];
  assert.equal(frame?.kind, 'element', JSON.stringify(results));
  return frame as Frame;
}

function openFramer(header = HEADER): Framer {
  const framer = new Framer({ limits: LIMITS_OF_CLIENT });
  framer.push(Buffer.from(header));
  assert.equal(framer.next()?.kind, 'open');
  return framer;
}

for (const { name, bytes } of SAMPLES) {
  test(`every cut gives the same frames: ${name}`, () => {
    const whole = framesOf([bytes]);
    assert.ok(whole.length > 0);
    for (let at = 1; at < bytes.length; at++) {
      assert.deepEqual(framesOf([bytes.subarray(0, at), bytes.subarray(at)]), whole, `cut at ${at}`);
    }
    assert.deepEqual(framesOf(bytesOf(bytes)), whole, 'byte by byte');
  });
}

test('an error is reported at the first byte that proves it', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['<a><!-', 'restricted-xml'],
    ['<a><!D', 'restricted-xml'],
    ['<a><?', 'restricted-xml'],
    ['<?', 'restricted-xml'],
    ['<a>&n', 'restricted-xml'],
    ['<a>&#x110000', 'not-well-formed'],
    ['<a>&#x', ''],
    ['<a>]]>', 'not-well-formed'],
    ['<a></b', 'not-well-formed'],
    ['<a b="1" b=', 'not-well-formed'],
    ["<a b='<", 'not-well-formed'],
    ["<a xmlns:b=''", 'not-well-formed'],
    ['<a>\u0001', 'not-well-formed'],
    ['<a b:c:', 'not-well-formed'],
    ['<1', 'not-well-formed'],
    ['<stream:stream>', 'bad-format'],
    ['<a><stream:features>', 'bad-format'],
    ['x', 'bad-format'],
    ['</stream:streak', 'not-well-formed'],
  ];
  for (const [text, condition] of cases) {
    const framer = openFramer();
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length; at++) {
      framer.push(bytes.subarray(at, at + 1));
      const result = framer.next();
      const isLast = at === bytes.length - 1;
      if (isLast && condition !== '') assert.equal(result?.kind === 'error' && result.condition, condition, text);
      else assert.equal(result, undefined, `${text}: byte ${at}`);
    }
  }
});

test('RFC 6120 §4.2: a header gives an open frame with attributes and content namespace', () => {
  const [open] = framesOf([Buffer.from(`<?xml version='1.0' encoding='UTF-8'?>\n${HEADER.replace('>', " xml:lang='en'>")}`)]);
  assert.deepEqual(open, {
    kind: 'open',
    name: 'stream',
    ns: 'http://etherx.jabber.org/streams',
    contentNs: 'jabber:client',
    attrs: ['to', 'capulet.lit', 'version', '1.0', 'xml:lang', 'en'],
    children: [],
    hasText: false,
    body: '',
    bytes: 38 + HEADER.length + 14,
  });
});

test('RFC 6120 §4.8.2: without a content namespace the stream namespace is the default', () => {
  const [open, message] = framesOf([
    Buffer.from(`<stream xmlns='http://etherx.jabber.org/streams'><message xmlns='jabber:client'><body/></message>`),
  ]);
  assert.equal((open as Frame).contentNs, 'http://etherx.jabber.org/streams');
  assert.deepEqual((message as Frame).children, [{ name: 'body', ns: 'jabber:client' }]);
});

test('an element gives name, namespace, attributes, heads of its children and its body as received', () => {
  const body = "<body>Wherefore &amp; why?</body> <x xmlns='urn:x'><y/></x><z/>";
  const text = `<message to="juliet@capulet.lit" id='a&amp;b'>${body}</message>`;
  assert.deepEqual(frameOf(text), {
    kind: 'element',
    name: 'message',
    ns: 'jabber:client',
    contentNs: 'jabber:client',
    attrs: ['to', 'juliet@capulet.lit', 'id', 'a&b'],
    children: [
      { name: 'body', ns: 'jabber:client' },
      { name: 'x', ns: 'urn:x' },
      { name: 'z', ns: 'jabber:client' },
    ],
    hasText: false,
    body,
    bytes: text.length,
  });
});

test('hasText tells text from white space, directly inside only', () => {
  assert.equal(frameOf('<a> \n<b>text</b>&#32;&#x9;<![CDATA[ ]]></a>').hasText, false);
  for (const text of ['x', 'é', '&amp;', '&#65;', '<![CDATA[x]]>', '<![CDATA[]]]]>', ']', '>', ' <b/> .'])
    assert.equal(frameOf(`<a>${text}</a>`).hasText, true, text);
});

test('attributes: declarations are left out, xml:lang keeps its name, other prefixes become namespaces', () => {
  const frame = frameOf("<p:a xmlns:p='urn:p' b='1' p:c='2' xml:lang='de' xml:space='preserve' xmlns='urn:d' stream:d='3'/>");
  assert.deepEqual(frame.attrs, [
    'b',
    '1',
    '{urn:p}c',
    '2',
    'xml:lang',
    'de',
    '{http://www.w3.org/XML/1998/namespace}space',
    'preserve',
    '{http://etherx.jabber.org/streams}d',
    '3',
  ]);
  assert.equal(frame.ns, 'urn:p');
});

test('XML 1.0 §3.3.3: white space in values becomes spaces, references to it stay', () => {
  assert.deepEqual(frameOf("<a b='1\t2\n3\r4\r\n5&#9;6&#10;7&#13;8'/>").attrs, ['b', '1 2 3 4 5\t6\n7\r8']);
});

test('values of every length and kind come out whole', () => {
  for (const length of [0, 1, 12, 13, 100, 511, 512, 513, 5000]) {
    for (const char of ['x', 'é', '日', '😀']) {
      const value = char.repeat(length);
      const frame = frameOf(`<a b='${value}' c="${value}"><d>${value}</d></a>`);
      assert.deepEqual(frame.attrs, ['b', value, 'c', value]);
      assert.equal(frame.body, `<d>${value}</d>`);
    }
  }
});

test('names beyond those remembered are read right all the same', () => {
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 6000; i += 1) {
      const name = `n${i.toString(36)}`;
      const frame = frameOf(`<${name} xmlns='urn:${name}' ${name}='1'><${name}x xmlns='urn:${i}'/><${name}/></${name}>`);
      assert.equal(frame.name, name);
      assert.equal(frame.ns, `urn:${name}`);
      assert.deepEqual(frame.attrs, [name, '1']);
      assert.deepEqual(frame.children, [
        { name: `${name}x`, ns: `urn:${i}` },
        { name, ns: `urn:${name}` },
      ]);
    }
  }
});

test('a name or opening that agrees with a remembered one in its ends is another', () => {
  for (const middle of ['aaaa', 'bbbb', 'aaaa', 'abab', 'bbbb']) {
    const name = `name-${middle}-name`;
    const ns = `http://example.org/${middle}/protocol#user`;
    const frame = frameOf(`<m ${name}='1'><x xmlns='${ns}'/><${name} xmlns='${ns}'/></m>`);
    assert.deepEqual(frame.attrs, [name, '1']);
    assert.deepEqual(frame.children, [
      { name: 'x', ns },
      { name, ns },
    ]);
  }
});

test('an opening that is remembered still counts towards the limits, and its namespace ends with it', () => {
  const xml = "<m><x xmlns='urn:again'><x xmlns='urn:again'/></x><y/></m>";
  for (let i = 0; i < 10; i++) {
    assert.deepEqual(frameOf(xml).children, [
      { name: 'x', ns: 'urn:again' },
      { name: 'y', ns: 'jabber:client' },
    ]);
    const [, tight] = framesOf([Buffer.from(HEADER + xml)], { ...LIMITS_OF_CLIENT, maxNamespaces: 3 });
    assert.equal(tight?.kind === 'error' && tight.condition, 'policy-violation');
  }
});

test('the end tag gives a close frame; only white space may follow', () => {
  const framer = openFramer();
  framer.push(Buffer.from('</stream:stream > \n'));
  const close = framer.next();
  assert.equal(close?.kind, 'close');
  assert.equal((close as Frame).bytes, 17);
  assert.equal(framer.next(), undefined);
  framer.push(Buffer.from(' '));
  assert.equal(framer.next(), undefined);
  framer.push(Buffer.from('<'));
  assert.equal(framer.next()?.kind, 'error');
});

test('white space is counted between two elements, and anew after a rest of the peer', () => {
  const framer = new Framer({ limits: { ...LIMITS_OF_CLIENT, maxWhitespaceBytes: 10 } });
  framer.push(Buffer.from(HEADER));
  assert.equal(framer.next()?.kind, 'open');
  for (let i = 0; i < 3; i++) {
    framer.push(Buffer.from(' '.repeat(10)));
    assert.equal(framer.next(), undefined);
    framer.forgiveWhiteSpace();
  }
  framer.push(Buffer.from(`${' '.repeat(10)}<a/>${' '.repeat(10)}`));
  assert.equal(framer.next()?.kind, 'element');
  assert.equal(framer.next(), undefined);
  framer.push(Buffer.from(' '));
  assert.equal(framer.next()?.kind, 'error');
  framer.forgiveWhiteSpace();
  assert.equal(framer.next()?.kind, 'error');
});

test('after an error there is only that error', () => {
  const framer = openFramer();
  framer.push(Buffer.from('<a>&bad;</a><b/>'));
  const error = framer.next();
  assert.equal(error?.kind, 'error');
  framer.push(Buffer.from('<c/>'));
  assert.equal(framer.next(), error);
  framer.restart();
  assert.equal(framer.next(), error);
  assert.equal(framer.buffered, 0);
});

test('RFC 6120 §6.4.6: after a restart a new header is read, from the bytes that were left', () => {
  const framer = openFramer();
  framer.push(
    Buffer.from(
      `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AA==</auth>\n<?xml version='1.0'?>${HEADER.replace('jabber:client', 'jabber:server')}<message/>`,
    ),
  );
  assert.equal((framer.next() as Frame).name, 'auth');
  framer.restart();
  const open = framer.next();
  assert.equal(open?.kind, 'open');
  assert.equal((open as Frame).contentNs, 'jabber:server');
  assert.equal((framer.next() as Frame).ns, 'jabber:server');
});

test('RFC 6120 §11.7: white space after a restart still belongs to the old stream', () => {
  const framer = openFramer();
  framer.restart();
  for (const piece of [' ', '\n', `\n<?xml version='1.0'?>`]) {
    framer.push(Buffer.from(piece));
    assert.equal(framer.next(), undefined);
  }
  framer.push(Buffer.from(HEADER));
  assert.equal(framer.next()?.kind, 'open');
});

test('a restart forgets what the old header declared', () => {
  const framer = openFramer(HEADER.replace('>', " xmlns:p='urn:p'>"));
  framer.restart();
  framer.push(Buffer.from(`${HEADER}<p:a/>`));
  assert.equal(framer.next()?.kind, 'open');
  const error = framer.next();
  assert.equal(error?.kind === 'error' && error.condition, 'bad-namespace-prefix');
});

test('a restart while a header has begun to arrive reads it as a header', () => {
  const framer = openFramer();
  framer.push(Buffer.from(HEADER.slice(0, 40)));
  assert.equal(framer.next(), undefined);
  framer.restart();
  framer.push(Buffer.from(HEADER.slice(40)));
  assert.equal(framer.next()?.kind, 'open');
});

test('buffered counts what was not handed up; white space between elements does not stay', () => {
  const framer = openFramer();
  assert.equal(framer.buffered, 0);
  framer.push(Buffer.from('<starttls xmlns="urn:ietf:params:xml:ns:xmpp-tls"/>'));
  assert.equal(framer.buffered, 51);
  framer.next();
  assert.equal(framer.buffered, 0);
  framer.push(Buffer.from('<a/> \n'));
  framer.next();
  assert.equal(framer.buffered, 0, 'white space after the element');
  framer.push(Buffer.from('<a/>\n<b'));
  framer.next();
  assert.equal(framer.buffered, 2, 'CVE-2011-0411: what followed <starttls/> shows');
  assert.equal(framer.next(), undefined);
  assert.equal(framer.buffered, 2);
  framer.push(Buffer.from('/>'));
  assert.equal((framer.next() as Frame).name, 'b');
});

test('limits can be replaced between any two bytes', () => {
  const framer = new Framer({ limits: LIMITS_BEFORE_LOGIN });
  framer.push(Buffer.from(HEADER));
  framer.next();
  framer.limits = LIMITS_OF_CLIENT;
  framer.push(Buffer.from(`<a>${'x'.repeat(9000)}`));
  assert.equal(framer.next(), undefined);
  framer.limits = LIMITS_BEFORE_LOGIN;
  framer.push(Buffer.from('</a>'));
  const error = framer.next();
  assert.equal(error?.kind === 'error' && error.condition, 'policy-violation');
});

test('a fragment framer needs no header: RFC 7395 messages and BOSH bodies', () => {
  const framer = new Framer({ limits: LIMITS_OF_CLIENT, contentNs: 'urn:outer' });
  framer.push(Buffer.from(`<?xml version="1.0"?><a/> <message xmlns='jabber:client'><body>x</body></message>`));
  assert.deepEqual(
    [framer.next(), framer.next()].map((frame) => (frame as Frame).ns),
    ['urn:outer', 'jabber:client'],
  );
  assert.equal(framer.next(), undefined);
  framer.restart();
  framer.push(Buffer.from(`<?xml version="1.0"?><b/></b>`));
  assert.equal((framer.next() as Frame).name, 'b');
  assert.equal(framer.next()?.kind, 'error');
});

test('a Uint8Array that is no Buffer is read as well, wherever it lies', () => {
  const bytes = new Uint8Array(Buffer.from(`xx${HEADER}<a/>yy`));
  const framer = new Framer({ limits: LIMITS_OF_CLIENT });
  framer.push(bytes.subarray(2, bytes.length - 2));
  assert.deepEqual([framer.next()?.kind, framer.next()?.kind, framer.next()], ['open', 'element', undefined]);
});

test('chunks pushed before they are asked for are read in order', () => {
  const framer = new Framer({ limits: LIMITS_OF_CLIENT });
  const bytes = Buffer.from(`${HEADER}${'<a>x</a>'.repeat(50)}</stream:stream>`);
  for (let at = 0; at < bytes.length; at += 7) framer.push(bytes.subarray(at, at + 7));
  const kinds: string[] = [];
  for (let result = framer.next(); result !== undefined; result = framer.next()) kinds.push(result.kind);
  assert.deepEqual(kinds, ['open', ...Array.from({ length: 50 }, () => 'element'), 'close']);
});

test('work is linear in the bytes received, however they are cut', () => {
  const pieces = [
    `<a b='${'v'.repeat(20_000)}'/>`,
    `<a>${'t'.repeat(20_000)}</a>`,
    `<a>${'😀'.repeat(5000)}</a>`,
    `<a>${'<b/>'.repeat(4000)}</a>`,
    `<a><![CDATA[${']'.repeat(20_000)}]]></a>`,
    `<a>${'&amp;'.repeat(4000)}</a>`,
    `<a>&#${'0'.repeat(20_000)}65;</a>`,
    `<a${' '.repeat(20_000)}/>`,
    `<a>${' '.repeat(20_000)}</a>`,
    ' '.repeat(20_000),
    `<a>${`<b c='${'é'.repeat(200)}'/>`.repeat(50)}</a>`,
  ];
  for (const piece of pieces) {
    for (const size of [1, 2, 3, 7, 100, 1448, 1 << 20]) {
      const framer = openFramer();
      const bytes = Buffer.from(piece);
      const before = framer.examinedBytes;
      for (let at = 0; at < bytes.length; at += size) {
        framer.push(bytes.subarray(at, at + size));
        const result = framer.next();
        assert.notEqual(result?.kind, 'error', piece.slice(0, 20));
      }
      assert.equal(framer.buffered, 0);
      const label = `${piece.slice(0, 12)}… in pieces of ${size}`;
      assert.ok(framer.examinedBytes - before >= bytes.length, label);
      assert.ok(
        framer.examinedBytes - before <= 3 * bytes.length,
        `${label}: examined ${framer.examinedBytes - before} of ${bytes.length}`,
      );
      assert.ok(framer.copiedBytes <= 5 * bytes.length + 1000, `${label}: copied ${framer.copiedBytes} of ${bytes.length}`);
    }
  }
});

test('an idle framer holds no chunk, a waiting one no more than twice what it waits with', () => {
  const framer = openFramer();
  const held = () => (framer as unknown as { buf: Buffer }).buf.buffer.byteLength;
  framer.push(Buffer.alloc(65_536, '<a>x</a>'));
  for (let i = 0; i < 8192; i++) assert.equal(framer.next()?.kind, 'element');
  assert.equal(held(), 0, 'nothing unread, without another next');
  const chunk = Buffer.alloc(65_536, ' ');
  chunk.write('<a>x', 60_000);
  framer.push(chunk.subarray(0, 60_004));
  assert.equal(framer.next(), undefined);
  assert.ok(held() <= 128, `holds ${held()} bytes for 4`);
  framer.push(Buffer.from('y'.repeat(50_000)));
  assert.equal(framer.next(), undefined);
  assert.ok(held() <= 2 * 50_004, `holds ${held()} bytes for 50004`);
  framer.push(Buffer.from('</a><b'));
  assert.equal(framer.next()?.kind, 'element');
  assert.equal(framer.next(), undefined);
  assert.ok(held() <= 128, `holds ${held()} bytes for 2`);
  framer.push(Buffer.from('/>'));
  assert.equal(framer.next()?.kind, 'element');
  assert.equal(held(), 0);
});
