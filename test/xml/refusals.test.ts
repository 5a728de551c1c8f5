/** What is refused, and with which condition of RFC 6120 §4.9.3. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FrameCondition, FramerLimits } from '../../src/xml/frame.ts';
import { LIMITS_OF_CLIENT } from '../../src/xml/limits.ts';
import { HEADER, bytesOf, framesOf } from './reading.ts';

function conditionOf(bytes: Uint8Array, limits: FramerLimits = LIMITS_OF_CLIENT): string | undefined {
  const result = framesOf([bytes], limits).at(-1);
  assert.deepEqual(framesOf(bytesOf(bytes), limits).at(-1), result, 'byte by byte');
  return result?.kind === 'error' ? result.condition : undefined;
}

/** In a stream: what follows the header. */
const IN_STREAM: readonly (readonly [FrameCondition, ...string[]])[] = [
  // RFC 6120 §4.9.3.18, §11.1
  [
    'restricted-xml',
    '<!-- c -->',
    '<a><!-- c --></a>',
    '<?pi?>',
    '<a><?pi?></a>',
    '<?xml version="1.0"?>',
    '<!DOCTYPE a>',
    '<a><!DOCTYPE b></a>',
    '<a>&nbsp;</a>',
    '<a b="&nbsp;"/>',
    '<a>&ampx;</a>',
    '<a>&am;</a>',
    '<a>&AMP;</a>',
    '<a>&l\u00e9;</a>',
    '<a>&lt1;</a>',
    '<a>&nt; more</a>',
    '<a>&lx; more</a>',
    '<a>&axp; more</a>',
    '<a>&ams; more</a>',
    '<a>&bmp; more</a>',
  ],
  // §4.9.3.13: XML 1.0
  [
    'not-well-formed',
    '<a></b>',
    '<a><b></a></b>',
    '<a></a b>',
    '<a></ab>',
    '<ab></a>',
    '<a/ >',
    '< a/>',
    '<a',
    '<a b></a>',
    '<a b=c/>',
    '<a b="1"c="2"/>',
    '<a b="1/>',
    '<a b="<"/>',
    '<a b=">" b=">"/>',
    '<a =""/>',
    '<a b="1" ="2"/>',
    '<1a/>',
    '<-a/>',
    '<.a/>',
    '<a><1/></a>',
    '<a 1="b"/>',
    '<a>]]></a>',
    '<a>]]]></a>',
    '<a>&</a>',
    '<a>& </a>',
    '<a>&;</a>',
    '<a>&#;</a>',
    '<a>&#x;</a>',
    '<a>&#X41;</a>',
    '<a>&#a;</a>',
    '<a>&#xg;</a>',
    '<a>&#65</a>',
    '<a>&amp</a>',
    '<a>&1;</a>',
    '<a>&-;</a>',
    '<a>&:;</a>',
    '<a b="&"/>',
    '<a b="&lt"/>',
    '<a><![cdata[]]></a>',
    '<a><![CDATA []]></a>',
    '<a><!x></a>',
    '<a><!></a>',
    '<a><!ELEMENT></a>',
    '<a>\u0000</a>',
    '<a>\u0001</a>',
    '<a>\u000b</a>',
    '<a>\u001f</a>',
    '<a>\ufffe</a>',
    '<a>\uffff</a>',
    '<a b="\u0008"/>',
    '<a b="\uffff"/>',
    '<a><![CDATA[\u0000]]></a>',
    '<a><![CDATA[\ufffe]]></a>',
    '<a\u0000/>',
    '<a \u0000/>',
    '<a>&#0;</a>',
    '<a>&#8;</a>',
    '<a>&#xB;</a>',
    '<a>&#xD800;</a>',
    '<a>&#xDFFF;</a>',
    '<a>&#xFFFE;</a>',
    '<a>&#xFFFF;</a>',
    '<a>&#x110000;</a>',
    '<a>&#1114112;</a>',
    '<a>&#99999999999999999999;</a>',
    '<\u00d7/>',
    '<\u2003/>',
    '<\u00b7a/>',
    '<\u0301a/>',
    '<a\u2028/>',
    '<a \u2028b="1"/>',
    '<a b\u2003="1"/>',
    '<a>&#65\u2003;</a>',
    '<a></stream:stream>',
    '</stream>',
    '</x>',
    '</stream:streamx>',
    '</stream:stream x>',
  ],
  // Names that not every parser takes: fifth edition only, or white space to some
  ['not-well-formed', '<\u{10000}/>', '<a\u1680/>', '<a\ufeff/>', '<\ufeffa/>', '<a \ufeffb="1"/>', '<\u0f70/>', '<\u218f/>'],
  // §4.9.3.13: Namespaces in XML 1.0 §3, §6, §7
  [
    'not-well-formed',
    '<:a/>',
    '<a:/>',
    '<a:b:c xmlns:a="u"/>',
    '<a :b="1"/>',
    '<a b:="1"/>',
    '<a b:c:d="1"/>',
    '<a:1 xmlns:a="u"/>',
    '<a xmlns:="u"/>',
    '<a xmlns:b=""/>',
    '<a xmlns:xml="u"/>',
    '<a xmlns:xmlns="u"/>',
    '<a xmlns:b="http://www.w3.org/XML/1998/namespace"/>',
    '<a xmlns="http://www.w3.org/XML/1998/namespace"/>',
    '<a xmlns:b="http://www.w3.org/2000/xmlns/"/>',
    '<a xmlns="http://www.w3.org/2000/xmlns/"/>',
    '<a xmlns:xml="http://www.w3.org/2000/xmlns/"/>',
    '<a xmlns="u" xmlns="u"/>',
    '<a xmlns:b="u" xmlns:b="u"/>',
    '<a b="1" b="1"/>',
    '<a xmlns:b="u" xmlns:c="u" b:d="1" c:d="2"/>',
    '<a xmlns:b="u" xmlns:c="&#117;" b:d="1" c:d="2"/>',
    '<a xmlns:b="u" b:d="1" e="2" b:d="3"/>',
    '<a xmlns:b="&#x68;ttp://www.w3.org/XML/1998/namespace"/>',
  ],
  // §4.9.3.2
  [
    'bad-namespace-prefix',
    '<b:a/>',
    '<a b:c="1"/>',
    '<a><b:c/></a>',
    '<a xmlns:b="u"/><b:c/>',
    '<a><b xmlns:c="u"/><c:d/></a>',
    '<xmlns:a/>',
    '<a><b><c xmlns:d="u"></c></b><e d:f="1"/></a>',
  ],
  // §4.9.3.22
  ['unsupported-encoding'],
  // §4.9.3.1
  [
    'bad-format',
    'x',
    ' x',
    '<a/>x',
    '&amp;',
    '\u00e9',
    '\ufeff',
    '<![CDATA[]]>',
    '<stream:stream>',
    '<stream:stream/>',
    '<stream:x/>',
    '<a><stream:features/></a>',
    '<a><stream:error/></a>',
    '<a xmlns:s="http://etherx.jabber.org/streams"><s:x/></a>',
    '<a><b xmlns="http://etherx.jabber.org/streams"/></a>',
    '<a><b xmlns="http://etherx.jabber.org/&#115;treams"/></a>',
    '<stream xmlns="http://etherx.jabber.org/streams"/>',
    '<a><b:c xmlns:b="u" xmlns="http://etherx.jabber.org/streams"><d/></b:c></a>',
  ],
];

for (const [condition, ...texts] of IN_STREAM) {
  for (const text of texts) {
    // Unfinished ones show themselves when an element follows, and what is accepted by mistake as well.
    test(`${condition}: ${JSON.stringify(text)}`, () => assert.equal(conditionOf(Buffer.from(`${HEADER}${text}<z/>`)), condition));
  }
}

/** UTF-8 games, CVE-2022-25235: each in text, in a value, in a name and in CDATA. RFC 3629 §3, §10 */
const BAD_UTF8 = [
  'c080',
  'c1bf',
  'c2',
  'c220',
  'e08080',
  'e09fbf',
  'e0a0',
  'e0a020',
  'eda080',
  'edbfbf',
  'edb080',
  'e220',
  'ef',
  'efbf',
  'f0808080',
  'f08fbfbf',
  'f09f',
  'f09f98',
  'f09f9820',
  'f4908080',
  'f5808080',
  'f8888080',
  'ff',
  'fe',
  '80',
  'bf',
  'c3c3',
];

for (const hex of BAD_UTF8) {
  test(`unsupported-encoding: bytes ${hex}`, () => {
    for (const [before, after] of [
      ['<a>', '</a>'],
      ["<a b='", "'/>"],
      ["<a b='é", "'/>"],
      ['<a', '/>'],
      ['<', '/>'],
      ['<a ', "='1'/>"],
      ['<a><![CDATA[', ']]></a>'],
      ['<a>é&amp;', '</a>'],
      ['<a>xxxxxxx', 'xxxxxxx</a>'],
      ["<a b='xxxxxxx", "xxxxxxx'/>"],
      ['<a><b>日本', '</b></a>'],
    ] as const) {
      assert.equal(
        conditionOf(Buffer.concat([Buffer.from(HEADER + before), Buffer.from(hex, 'hex'), Buffer.from(after)])),
        'unsupported-encoding',
        before,
      );
    }
  });
}

test('every character that XML allows is accepted, every other refused, as itself and as a reference', () => {
  const isAllowed = (code: number) =>
    [9, 10, 13].includes(code) || (code >= 0x20 && code <= 0xd7ff) || (code >= 0xe000 && code <= 0xfffd) || code >= 0x10000;
  const codes = [
    ...Array.from({ length: 0x100 }, (_, i) => i),
    0x7ff,
    0x800,
    0xd7ff,
    0xd800,
    0xdfff,
    0xe000,
    0xfdd0,
    0xfffd,
    0xfffe,
    0xffff,
    0x10000,
    0x1fffe,
    0x1ffff,
    0x10fffe,
    0x10ffff,
  ];
  for (const code of codes) {
    const reference = framesOf([Buffer.from(`${HEADER}<a b='&#${code};'>&#x${code.toString(16)};</a>`)])[1];
    assert.equal(reference?.kind === 'element', isAllowed(code), `reference to ${code}`);
    if ((code >= 0xd800 && code <= 0xdfff) || '<&'.includes(String.fromCodePoint(code))) continue;
    const char = String.fromCodePoint(code);
    const [, frame] = framesOf([Buffer.from(`${HEADER}<a>${char}<![CDATA[${char}]]></a>`)]);
    assert.equal(frame?.kind === 'element', isAllowed(code), `character ${code}`);
  }
});

/** The beginning of a stream. */
const AT_START: readonly (readonly [FrameCondition, ...string[]])[] = [
  [
    'invalid-namespace',
    '<stream/>',
    "<stream:stream xmlns:stream='http://etherx.jabber.org/stream'>",
    "<stream xmlns='jabber:client'>",
    "<message xmlns='jabber:client'/>",
    '<html>',
  ],
  [
    'bad-format',
    "<stream:streams xmlns:stream='http://etherx.jabber.org/streams'>",
    "<stream:error xmlns:stream='http://etherx.jabber.org/streams'>",
  ],
  ['bad-namespace-prefix', '<stream:stream>', "<stream:stream xmlns='http://etherx.jabber.org/streams'>"],
  [
    'not-well-formed',
    'GET / HTTP/1.1\r\n',
    '\u0016\u0003\u0001',
    'x',
    '\ufeff<stream>',
    '</stream>',
    '<![CDATA[',
    '<stream:stream x=1>',
    '<stream:stream x="1" x="1">',
    '< ',
    '<>',
    '<1>',
    "<?xml version='2.0'?>",
    '<?xml version?>',
    '<?xml ?>',
    "<?xml encoding='UTF-8'?>",
    "<?xml version='1.0' standalone='maybe'?>",
    "<?xml version='1.0' encoding='UTF-8' version='1.0'?>",
    "<?xml version='1.0' standalone='no' encoding='UTF-8'?>",
    "<?xml version='1.0'encoding='UTF-8'?>",
    "<?xml version='1.0' x='y'?>",
    "<?xml version='1.0' >",
    "<?xml version='1.0' ?x",
    `<?xml version='1.0'${' '.repeat(300)}?>`,
    "<?xml version='1.0' encoding='UTF-8 '?>",
  ],
  [
    'restricted-xml',
    '<!DOCTYPE x>',
    '<!-- -->',
    '<?pi?>',
    '<?xml?>',
    '<?xml-stylesheet?>',
    "<?XML version='1.0'?>",
    " <?xml version='1.0'?>",
    "\n<?xml version='1.0'?>",
    "<?xml version='1.0'?><?xml version='1.0'?>",
    "<?xml version='1.0'?><!DOCTYPE x>",
  ],
  ['bad-format', "<?xml version='1.1'?>", '<?xml version="1.10"?>'],
  [
    'unsupported-encoding',
    "<?xml version='1.0' encoding='UTF-16'?>",
    "<?xml version='1.0' encoding='ISO-8859-1'?>",
    "<?xml version='1.0' encoding='UTF8'?>",
  ],
];

for (const [condition, ...texts] of AT_START) {
  for (const text of texts)
    test(`at the start, ${condition}: ${JSON.stringify(text.slice(0, 60))}`, () => assert.equal(conditionOf(Buffer.from(text)), condition));
}

test('RFC 6120 §11.6: UTF-16 is refused, with a byte order mark and without', () => {
  assert.equal(conditionOf(Buffer.from('\ufeff<stream>', 'utf16le')), 'not-well-formed');
  assert.equal(conditionOf(Buffer.from('<stream>', 'utf16le')), 'not-well-formed');
});

for (const declaration of [
  "<?xml version='1.0'?>",
  '<?xml version="1.0" encoding="utf-8"?>',
  "<?xml\tversion = '1.0'\nencoding = 'Utf-8' standalone = 'yes' ?>",
  "<?xml version='1.0' standalone='no'?>\r\n",
]) {
  test(`a declaration is taken: ${JSON.stringify(declaration)}`, () =>
    assert.equal(framesOf([Buffer.from(declaration + HEADER)])[0]?.kind, 'open'));
}

test('white space may stand before a header that has no declaration', () => {
  assert.equal(framesOf([Buffer.from(` \r\n\t${HEADER}`)])[0]?.kind, 'open');
});

const TIGHT: FramerLimits = {
  maxBytes: 300,
  maxDepth: 3,
  maxElements: 5,
  maxAttributes: 4,
  maxNameBytes: 14,
  maxNamespaces: 4,
  maxWhitespaceBytes: 10,
};

/** Each limit: the most that is taken, and one more. */
const AT_LIMITS: readonly (readonly [keyof FramerLimits, string, string])[] = [
  ['maxBytes', `<a>${'x'.repeat(293)}</a>`, `<a>${'x'.repeat(294)}</a>`],
  ['maxBytes', `<a b='${'x'.repeat(291)}'/>`, `<a b='${'x'.repeat(292)}'/>`],
  ['maxBytes', `<a>${'é'.repeat(146)}</a>`, `<a>${'é'.repeat(147)}</a>`],
  ['maxDepth', '<a><a><a/></a></a>', '<a><a><a><a/></a></a></a>'],
  ['maxElements', '<a><b/><b/><b/><b/></a>', '<a><b/><b/><b/><b/><b/></a>'],
  ['maxElements', '<a><b><c/></b><b><c/></b></a>', '<a><b><c/></b><b><c/><c/></b></a>'],
  ['maxAttributes', "<a b='' c='' d='' e=''/>", "<a b='' c='' d='' e='' f=''/>"],
  ['maxAttributes', "<a xmlns='u' c='' d='' e=''/>", "<a xmlns='u' c='' d='' e='' f=''/>"],
  ['maxAttributes', "<a b='' c='' d='' e=''><e b='' c='' d='' e=''/></a>", "<a b='' c='' d='' e=''><e b='' c='' d='' e='' f='é'/></a>"],
  ['maxNameBytes', '<abcdefghijklmn/>', '<abcdefghijklmno/>'],
  ['maxNameBytes', "<a abcdefghijklmn=''/>", "<a abcdefghijklmno=''/>"],
  ['maxNameBytes', "<a xmlns:abcdefgh='u'/>", "<a xmlns:abcdefghi='u'/>"],
  ['maxNameBytes', '<ééééééé/>', '<éééééééa/>'],
  ['maxNamespaces', "<a xmlns='u'><b xmlns='v'/><c xmlns='w'/></a>", "<a xmlns='u'><b xmlns='v'><c xmlns='w'/></b></a>"],
  ['maxNamespaces', "<a xmlns:b='u' xmlns:c='v'/>", "<a xmlns:b='u' xmlns:c='v' xmlns:d='w'/>"],
  ['maxNamespaces', "<a xmlns:b='u'><c xmlns:d='v'/><e xmlns:f='w'/></a>", "<a xmlns:b='u'><c xmlns:d='v'><e xmlns:f='w'/></c></a>"],
  ['maxWhitespaceBytes', `${' '.repeat(10)}<a/>${' '.repeat(10)}<a/>`, `${' '.repeat(11)}<a/>`],
];

for (const [limit, most, tooMuch] of AT_LIMITS) {
  test(`policy-violation: ${limit} at ${JSON.stringify(tooMuch.slice(0, 50))}`, () => {
    assert.equal(conditionOf(Buffer.from(HEADER + most), TIGHT), undefined);
    assert.equal(conditionOf(Buffer.from(HEADER + tooMuch), TIGHT), 'policy-violation');
  });
}

test('policy-violation: a limit is noticed before the element is complete', () => {
  for (const text of [
    `<a>${'x'.repeat(297)}`,
    `<a b='${'x'.repeat(294)}`,
    '<abcdefghijklmno',
    '<a><b><c><d',
    "<a b='' c='' d='' e='' f",
    ' '.repeat(11),
    `</stream:stream${' '.repeat(290)}`,
  ]) {
    assert.equal(conditionOf(Buffer.from(HEADER + text), TIGHT), 'policy-violation', text.slice(0, 20));
  }
});

test('policy-violation: a header that is too long', () => {
  assert.equal(conditionOf(Buffer.from(HEADER.replace('>', ` x='${'x'.repeat(200)}'>`)), TIGHT), 'policy-violation');
  assert.equal(
    conditionOf(Buffer.from(`<?xml version='1.0'?>${HEADER.replace('>', ` x='${'x'.repeat(300 - HEADER.length - 22)}'>`)}`), TIGHT),
    'policy-violation',
  );
});
