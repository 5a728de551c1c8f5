import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import {
  asciiDomain,
  DEFAULT_CACHED_JIDS,
  jidCacheSize,
  makeJid,
  MAX_PART_BYTES,
  normalizeDomain,
  normalizeLocal,
  normalizeResource,
  parseJid,
  setJidCacheSize,
} from '../../src/xmpp/jid.ts';

const SEED = 7622;

afterEach(() => setJidCacheSize(DEFAULT_CACHED_JIDS));

test('RFC 7622 §3.5, table 1: JIDs', () => {
  const table: [text: string, local: string, domain: string, resource: string][] = [
    ['juliet@example.com', 'juliet', 'example.com', ''],
    ['juliet@example.com/foo', 'juliet', 'example.com', 'foo'],
    ['juliet@example.com/foo bar', 'juliet', 'example.com', 'foo bar'],
    ['juliet@example.com/foo@bar', 'juliet', 'example.com', 'foo@bar'],
    ['foo\\20bar@example.com', 'foo\\20bar', 'example.com', ''],
    ['fussball@example.com', 'fussball', 'example.com', ''],
    ['fu\u00DFball@example.com', 'fußball', 'example.com', ''],
    ['\u03C0@example.com', 'π', 'example.com', ''],
    ['\u03A3@example.com/foo', 'σ', 'example.com', 'foo'],
    ['\u03C3@example.com/foo', 'σ', 'example.com', 'foo'],
    ['\u03C2@example.com/foo', 'ς', 'example.com', 'foo'],
    ['king@example.com/\u265A', 'king', 'example.com', '♚'],
    ['example.com', '', 'example.com', ''],
    ['example.com/foobar', '', 'example.com', 'foobar'],
    ['a.example.com/b@example.net', '', 'a.example.com', 'b@example.net'],
    ['juliet@example.com/ foo', 'juliet', 'example.com', ' foo'], // erratum 4560 moved it here from table 2
  ];
  for (const [text, local, domain, resource] of table) {
    const jid = parseJid(text);
    assert.ok(jid, text);
    assert.deepEqual([jid.local, jid.domain, jid.resource], [local, domain, resource], text);
    assert.equal(jid.bare, local === '' ? domain : `${local}@${domain}`);
    assert.equal(jid.full, resource === '' ? jid.bare : `${jid.bare}/${resource}`);
    assert.equal(String(jid), jid.full);
  }
});

test('RFC 7622 §3.5, table 2: not JIDs', () => {
  for (const text of [
    '"juliet"@example.com',
    'foo bar@example.com',
    '@example.com/',
    'henry\u2163@example.com',
    '\u265A@example.com',
    'juliet@',
    '/foobar',
  ]) {
    assert.equal(parseJid(text), undefined, text);
  }
});

test('RFC 7622 §3.1: the first slash ends the domain, the first at sign before it ends the local part', () => {
  const table: [string, string[]][] = [
    ['a@b/c/d', ['a', 'b', 'c/d']],
    ['a@b//', ['a', 'b', '/']],
    ['b/a@c', ['', 'b', 'a@c']],
    ['a@b/@', ['a', 'b', '@']],
  ];
  for (const [text, [local, domain, resource]] of table) {
    const jid = parseJid(text);
    assert.deepEqual([jid?.local, jid?.domain, jid?.resource], [local, domain, resource], text);
  }
  for (const text of [
    '',
    '@',
    '/',
    'a@',
    '@b',
    'a@@b',
    'a@b@c',
    'a@b/',
    'b/',
    ' a@b',
    'a@b ',
    'a@b\n',
    '\ta@b',
    'a@b/c\u0000',
    'a@b/c\u007F',
    'a\uD800@b',
  ]) {
    assert.equal(parseJid(text), undefined, JSON.stringify(text));
  }
});

test('RFC 7622 §3.3.1: characters no localpart has, also after width mapping', () => {
  for (const char of `"&'/:<>@ `) {
    assert.equal(normalizeLocal(`a${char}b`), undefined, char);
    const wide = char === ' ' ? '\u3000' : String.fromCodePoint(char.charCodeAt(0) - 0x20 + 0xff00);
    assert.equal(normalizeLocal(`a${wide}b`), undefined, wide);
  }
  for (const char of '!#$%()*+,-.;=?[\\]^_`{|}~0') assert.equal(normalizeLocal(`a${char}b`), `a${char}b`);
  assert.equal(normalizeLocal('JULIET'), 'juliet');
  assert.equal(normalizeLocal('a\u00ADb'), undefined); // nothing invisible in an account name
});

test('RFC 7622 §3.4: resources keep their case, spaces become U+0020', () => {
  assert.equal(normalizeResource('Balcony'), 'Balcony');
  assert.equal(normalizeResource('a\u00A0b\u3000c'), 'a b c');
  assert.equal(normalizeResource('e\u0301'), 'é');
  assert.equal(normalizeResource(' '), ' ');
  assert.equal(normalizeResource(''), undefined);
  assert.equal(normalizeResource('a\u0007'), undefined);
  assert.equal(normalizeResource('a\u2028b'), undefined);
});

test('RFC 6122 compatibility: what Resourceprep dropped is dropped, what is strictly valid stays', () => {
  assert.equal(normalizeResource('Ann ❤\uFE0F'), 'Ann ❤');
  assert.equal(normalizeResource('👩\u200D💻'), '👩💻');
  assert.equal(normalizeResource('a\u00ADb\u200Bc\uFEFF'), 'abc');
  assert.equal(normalizeResource('نامه\u200Cای'), 'نامه\u200Cای'); // in context: RFC 5892 Appendix A.1
  assert.equal(normalizeResource('\uFE0F'), undefined);
});

test('RFC 7622 §3.2: host names', () => {
  const label63 = 'a'.repeat(63);
  const table: [string, string | undefined][] = [
    ['example.com', 'example.com'],
    ['EXAMPLE.com', 'example.com'],
    ['example.com.', 'example.com'],
    ['localhost', 'localhost'],
    ['a--b.example', 'a--b.example'],
    ['r3---sn-h5q7kn7s.example', 'r3---sn-h5q7kn7s.example'],
    ['1and1.com', '1and1.com'],
    [`${label63}.com`, `${label63}.com`],
    [`${label63}a.com`, undefined],
    [`com.${label63}a`, undefined],
    ['', undefined],
    ['.', undefined],
    ['example..com', undefined],
    ['.example.com', undefined],
    ['example.com..', undefined],
    ['-example.com', undefined],
    ['example-.com', undefined],
    ['example.com-', undefined],
    ['exam_ple.com', undefined],
    ['exam ple.com', undefined],
    ['example.com:5222', undefined],
    ['ex%61mple.com', undefined],
  ];
  for (const [text, expected] of table) assert.equal(normalizeDomain(text), expected, JSON.stringify(text));
});

test('RFC 7622 §3.2: address literals', () => {
  const table: [string, string | undefined][] = [
    ['127.0.0.1', '127.0.0.1'],
    ['[::1]', '[::1]'],
    ['[2001:DB8:0:0:0:0:0:1]', '[2001:db8::1]'],
    ['127.0.0.256', undefined],
    ['127.0.1', undefined],
    ['127.0.0.01', undefined],
    ['0x7f.0.0.1', undefined],
    ['1234', undefined],
    ['example.123', undefined],
    ['[::1', undefined],
    ['[::1].', undefined],
    ['::1', undefined],
    ['[fe80::1%eth0]', undefined],
    ['[127.0.0.1]', undefined],
    ['１２７.0.0.1', '127.0.0.1'],
  ];
  for (const [text, expected] of table) assert.equal(normalizeDomain(text), expected, JSON.stringify(text));
});

test('RFC 7622 §3.2: internationalised names have one form, the U-label', () => {
  const table: [string, string | undefined][] = [
    ['bücher.example', 'bücher.example'],
    ['BÜCHER.example', 'bücher.example'],
    ['bu\u0308cher.example', 'bücher.example'],
    ['xn--bcher-kva.example', 'bücher.example'],
    ['XN--BCHER-KVA.Example.', 'bücher.example'],
    ['例え。テスト', '例え.テスト'],
    ['ｅｘａｍｐｌｅ.com', 'example.com'],
    ['faß.example', 'faß.example'],
    ['xn--fa-hia.example', 'faß.example'],
    ['א1ב.example', 'א1ב.example'],
    ['☃.example', undefined], // no letter: RFC 5892
    ['xn--n3h.example', undefined],
    ['xn--', undefined],
    ['xn--a', undefined],
    ['xn--abc-.example', undefined],
    ['xn--zzzzzz99999', undefined],
    ['xn--bücher.example', undefined],
    ['-ü.example', undefined],
    ['אa.example', undefined], // RFC 5893 §2
    ['א.1a.example', undefined],
    ['ü..example', undefined],
    ['ü.exam_ple', undefined],
    ['ü'.repeat(60) + '.example', undefined], // too long as an A-label
    ['ü.123', undefined],
    [`${'ü.'.repeat(30)}example`, `${'ü.'.repeat(30)}example`],
    [`${'ü.'.repeat(31)}example`, undefined], // 255 characters where DNS has room for 253: RFC 1035 §2.3.4
    [`a${'\u0301\u0323'.repeat(20)}.example`, undefined],
  ];
  for (const [text, expected] of table) assert.equal(normalizeDomain(text), expected, JSON.stringify(text));
  assert.equal(asciiDomain('bücher.example'), 'xn--bcher-kva.example');
  assert.equal(asciiDomain('example.com'), 'example.com');
});

test('RFC 7622 §3.1: each part has at most 1023 bytes of UTF-8', () => {
  const longest = 'a'.repeat(MAX_PART_BYTES);
  const domain = `${`${'a'.repeat(63)}.`.repeat(15)}${'a'.repeat(63)}`;
  assert.equal(domain.length, MAX_PART_BYTES);
  assert.equal(normalizeLocal(longest), longest);
  assert.equal(normalizeLocal(longest + 'a'), undefined);
  assert.equal(normalizeResource(longest), longest);
  assert.equal(normalizeResource(longest + 'a'), undefined);
  assert.equal(normalizeDomain(domain), domain);
  assert.equal(normalizeDomain(`a.${domain}`), undefined);
  assert.equal(normalizeLocal('é'.repeat(511)), 'é'.repeat(511));
  assert.equal(normalizeLocal('é'.repeat(512)), undefined);
  assert.equal(normalizeResource('é'.repeat(512)), undefined);
  assert.equal(parseJid(`${longest}@${domain}/${longest}`)?.full.length, 3071);
  for (const huge of ['a', 'é', '.', '/', '@']) assert.equal(parseJid(huge.repeat(1_000_000)), undefined);
});

test('the parts of an address lead to its relatives', () => {
  const jid = parseJid('juliet@example.com/balcony')!;
  assert.ok(jid.isFull && !jid.isBare && !jid.isDomain);
  assert.equal(jid.toBare().full, 'juliet@example.com');
  assert.equal(jid.toBare(), jid.toBare());
  assert.ok(jid.toBare().isBare);
  assert.equal(jid.toBare().toBare(), jid.toBare());
  assert.equal(jid.toDomain().full, 'example.com');
  assert.ok(jid.toDomain().isDomain && jid.toDomain().isBare);
  assert.ok(!parseJid('example.com/x')!.isDomain);
  assert.equal(jid.withResource('garden')?.full, 'juliet@example.com/garden');
  assert.equal(jid.withResource(''), undefined);
  assert.equal(jid.withResource('\u0000'), undefined);
  assert.ok(jid.equals(parseJid('JULIET@Example.COM/balcony')!));
  assert.ok(!jid.equals(parseJid('juliet@example.com/Balcony')!));
});

test('makeJid normalises each part and refuses what parsing would take for another address', () => {
  assert.equal(makeJid('Juliet', 'EXAMPLE.com', 'x/y@z')?.full, 'juliet@example.com/x/y@z');
  assert.equal(makeJid('', 'example.com')?.full, 'example.com');
  for (const [local, domain, resource] of [
    ['a@b', 'c', ''],
    ['a/b', 'c', ''],
    ['a', 'b/c', ''],
    ['a', 'b@c', ''],
    ['a', '', ''],
    ['a', 'b', '\u0000'],
  ]) {
    assert.equal(makeJid(local!, domain!, resource), undefined);
  }
});

test('the escaped form is safe in an attribute in either kind of quotes', () => {
  assert.equal(parseJid(`a@b/<&>"'`)?.xml, 'a@b/&lt;&amp;&gt;&quot;&apos;');
  const plain = parseJid('a@b/c')!;
  assert.equal(plain.xml, plain.full);
});

const part = (codes: fc.Arbitrary<number>) => fc.array(codes, { maxLength: 8 }).map((points) => String.fromCodePoint(...points));
const ascii = fc.integer({ min: 0x20, max: 0x7f });
const unicode = fc.oneof(
  ascii,
  fc.integer({ min: 0x80, max: 0x6ff }),
  fc.integer({ min: 0x900, max: 0x33ff }),
  fc.integer({ min: 0xf900, max: 0xffef }),
  fc.integer({ min: 0x10000, max: 0x1f9ff }),
);
const anyAddress = fc
  .tuple(
    part(unicode),
    fc.oneof(part(unicode), fc.constantFrom('Example.COM', 'bücher.example', 'xn--bcher-kva.x', '[::1]', 'a.b.')),
    part(unicode),
  )
  .map(([local, domain, resource]) => (local === '' ? '' : local + '@') + domain + (resource === '' ? '' : '/' + resource));

test('parse after print is the same address, and every part is its own normal form', () => {
  let accepted = 0;
  fc.assert(
    fc.property(anyAddress, (text) => {
      const jid = parseJid(text);
      if (jid === undefined) return;
      accepted++;
      setJidCacheSize(0);
      const again = parseJid(jid.full);
      setJidCacheSize(DEFAULT_CACHED_JIDS);
      assert.ok(again !== undefined && again.equals(jid), `${JSON.stringify(text)} → ${JSON.stringify(jid.full)}`);
      assert.deepEqual(
        [again.local, again.domain, again.resource, again.bare, again.xml],
        [jid.local, jid.domain, jid.resource, jid.bare, jid.xml],
      );
      assert.equal(makeJid(jid.local, jid.domain, jid.resource)?.full, jid.full);
      assert.equal(normalizeDomain(asciiDomain(jid.domain)), jid.domain);
      for (const value of [jid.local, jid.domain, jid.resource]) assert.ok(Buffer.byteLength(value) <= MAX_PART_BYTES);
    }),
    { seed: SEED, numRuns: 6000 },
  );
  assert.ok(accepted > 300, `only ${accepted} accepted`);
});

test('ASCII takes the same way with and without Unicode tables', () => {
  fc.assert(
    fc.property(part(ascii), (text) => {
      // A letter of two bytes forces the general path; what it does to the rest must not differ.
      const local = normalizeLocal(text);
      assert.equal(normalizeLocal(text + 'é'), local === undefined ? (text === '' ? 'é' : undefined) : local + 'é');
      const resource = normalizeResource(text);
      assert.equal(normalizeResource(text + 'é'), resource === undefined ? (text === '' ? 'é' : undefined) : resource + 'é');
      assert.equal(
        normalizeDomain('ü.' + text + 'a'),
        normalizeDomain(text + 'a') === undefined ? undefined : 'ü.' + normalizeDomain(text + 'a'),
      );
    }),
    { seed: SEED, numRuns: 4000 },
  );
});

test('the cache is bounded in number, holds no long texts and no refused ones', () => {
  setJidCacheSize(100);
  for (let i = 0; i < 5000; i++) parseJid(`user${i}@example.com`);
  assert.ok(jidCacheSize() <= 200);
  setJidCacheSize(100);
  for (let i = 0; i < 50; i++) {
    assert.ok(parseJid(`${'a'.repeat(300)}${i}@example.com`));
    assert.equal(parseJid(`a b${i}@example.com`), undefined);
  }
  assert.equal(jidCacheSize(), 0);
});

test('the cache keeps what is in use while others pass through', () => {
  setJidCacheSize(10);
  const juliet = parseJid('Juliet@example.com');
  for (let i = 0; i < 200; i++) {
    parseJid(`user${i}@example.com`);
    if (i % 5 === 0) assert.equal(parseJid('Juliet@example.com'), juliet);
  }
});

test('a remembered address does not keep alive the text it was cut out of', () => {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  gc();
  const before = process.memoryUsage().heapUsed;
  for (const address of [
    'user-%@chat.example.com/some-device',
    'a-service-%.example.com',
    'User-%@chat.example.com',
    'джульетта-%@chat.example.com/some-device',
  ]) {
    for (let i = 0; i < 150; i++) {
      const wanted = address.replace('%', String(i));
      const stanza = `${wanted} `.repeat(4000);
      assert.ok(parseJid(Buffer.from(stanza).toString().slice(0, wanted.length)));
    }
  }
  gc();
  assert.ok(process.memoryUsage().heapUsed - before < 10_000_000, '600 stanzas of 100 kB and more were let go');
});
