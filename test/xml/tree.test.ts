import assert from 'node:assert/strict';
import { test } from 'node:test';
import { el, type Element } from '../../src/xml/element.ts';
import { elementOf, parseBody, parseElement } from '../../src/xml/tree.ts';
import type { Frame } from '../../src/xml/frame.ts';
import { HEADER, framesOf, plainOf } from './reading.ts';

function plain(nodes: readonly (Element | string)[] | undefined): unknown {
  return nodes?.map((node) => (typeof node === 'string' ? node : plainOf(node)));
}

test('text is taken as it is: nothing trimmed, nothing turned into a number or a truth value', () => {
  for (const text of ['0', '007', '1e3', '0x1F', 'true', 'false', 'null', ' ', ' x ', '\n', '', '-', '+1', '१']) {
    assert.deepEqual(plain(parseBody(`<a>${text}</a>`, '')), [['a', '', [], text === '' ? [] : [text]]], JSON.stringify(text));
    assert.deepEqual(plain(parseBody(`<a b='${text}'/>`, '')), [['a', '', [['b', text === '\n' ? ' ' : text]], []]], JSON.stringify(text));
  }
});

test('the five entities and numeric references are read once, in text and values', () => {
  const source = '&lt;&gt;&amp;&apos;&quot;&#65;&#x42;&#x1F600;&amp;lt;&#38;gt;&#13;&#9;';
  const text = `<>&'"AB😀&lt;&gt;\r\t`;
  assert.deepEqual(plain(parseBody(`<a b='${source}'>${source}</a>`, '')), [['a', '', [['b', text]], [text]]]);
  assert.deepEqual(parseBody(source, ''), [text]);
});

test('mixed content keeps its order and its white space', () => {
  assert.deepEqual(plain(parseBody('1<a/> <b>2<c/>3</b>\n4', 'u')), [
    '1',
    ['a', 'u', [], []],
    ' ',
    ['b', 'u', [], ['2', ['c', 'u', [], []], '3']],
    '\n4',
  ]);
  assert.deepEqual(parseBody('', 'u'), []);
  assert.deepEqual(parseBody(' ', 'u'), [' ']);
});

test('names that objects have are names like any other', () => {
  const names = [
    '__proto__',
    'constructor',
    'prototype',
    'toString',
    'valueOf',
    'hasOwnProperty',
    '__defineGetter__',
    'x',
    'body',
    'xml',
    'text',
  ];
  for (const name of names) {
    const [element] = parseBody(`<${name} ${name}='1' id='2'>t<${name}/></${name}>`, 'u') as [Element];
    assert.equal(element.name, name);
    assert.equal(element.attr(name), '1');
    assert.deepEqual(Object.keys(element.attrs), [name, 'id']);
    assert.equal(Object.getPrototypeOf(element.attrs), null);
    assert.equal(element.attr('toString'), name === 'toString' ? '1' : undefined);
    assert.deepEqual(element.child(name)?.name, name);
  }
  assert.equal(({} as Record<string, unknown>)['1'], undefined);
});

test('an attribute named like what the parser uses inside', () => {
  assert.deepEqual(plain(parseBody(`<a _='1' a.b='2'><b.c/></a>`, '')), [
    [
      'a',
      '',
      [
        ['_', '1'],
        ['a.b', '2'],
      ],
      [['b.c', '', [], []]],
    ],
  ]);
});

test('namespaces are resolved: defaults, prefixes, shadowing, none', () => {
  const body = `<a xmlns:p='urn:p' p:x='1' x='2'><p:b><c xmlns='urn:c'><d/><e xmlns=''/><p:f xmlns:p='urn:q' p:x='3'/></c></p:b><g xml:lang='en' xml:space='preserve'/></a>`;
  assert.deepEqual(plain(parseBody(body, 'urn:o')), [
    [
      'a',
      'urn:o',
      [
        ['x', '2'],
        ['{urn:p}x', '1'],
      ],
      [
        [
          'b',
          'urn:p',
          [],
          [
            [
              'c',
              'urn:c',
              [],
              [
                ['d', 'urn:c', [], []],
                ['e', '', [], []],
                ['f', 'urn:q', [['{urn:q}x', '3']], []],
              ],
            ],
          ],
        ],
        [
          'g',
          'urn:o',
          [
            ['xml:lang', 'en'],
            ['{http://www.w3.org/XML/1998/namespace}space', 'preserve'],
          ].toSorted() as never,
          [],
        ],
      ],
    ],
  ]);
});

test('XML 1.0 §3.3.3: white space in values becomes spaces', () => {
  assert.deepEqual(plain(parseBody(`<a b='1\t2\n3&#10;4'/>`, '')), [['a', '', [['b', '1 2 3\n4']], []]]);
});

test('what the framer lets through is as deep and wide as the limits say', () => {
  const deep = `${'<a>'.repeat(60)}${'</a>'.repeat(60)}`;
  assert.ok(parseBody(deep, ''));
  assert.equal(parseBody(deep, '', { maxDepth: 60, maxElements: 1000 }), undefined);
  assert.ok(parseBody(deep, '', { maxDepth: 61, maxElements: 60 }));
  assert.equal(parseBody(deep, '', { maxDepth: 61, maxElements: 59 }), undefined);
});

test('what is no body gives undefined, never an exception', () => {
  for (const body of [
    '<',
    '<a',
    '<a b',
    '</',
    '<!',
    '<!--',
    '<!DOCTYPE',
    '<![CDATA[',
    '<?',
    '<p:a/>',
    '<a p:b="1"/>',
    '<a/>'.repeat(9000),
    `${'<a>'.repeat(200)}`,
  ]) {
    assert.doesNotThrow(() => parseBody(body, ''), body.slice(0, 20));
  }
  assert.equal(parseBody('<p:a/>', ''), undefined);
  assert.equal(parseBody('<a p:b="1"/>', ''), undefined);
  assert.equal(parseBody('<!--', ''), undefined);
});

test('elementOf gives the element of a frame, and the root of an open', () => {
  const [open, element] = framesOf([Buffer.from(`${HEADER}<message id='1' xml:lang='en'><body>x</body></message>`)]) as [Frame, Frame];
  assert.deepEqual(plainOf(elementOf(element)!), [
    'message',
    'jabber:client',
    [
      ['id', '1'],
      ['xml:lang', 'en'],
    ],
    [['body', 'jabber:client', [], ['x']]],
  ]);
  const root = elementOf(open)!;
  assert.equal(root.name, 'stream');
  assert.equal(root.attr('to'), 'capulet.lit');
});

test('parseElement reads what stands alone, by the rules of a stream', () => {
  assert.deepEqual(plainOf(parseElement(`<?xml version='1.0'?>\n<a xmlns='u'>\r\n<![CDATA[<]]><b/></a>\n`)!), [
    'a',
    'u',
    [],
    ['\n<', ['b', 'u', [], []]],
  ]);
  for (const text of [
    '',
    ' ',
    'x',
    '<a>',
    '<a/><b/>',
    '<a/>x',
    '<a/>&amp;',
    '<!DOCTYPE a><a/>',
    '<!-- --><a/>',
    '<a/><!-- -->',
    '<a>&nbsp;</a>',
    '<p:a/>',
    '</a>',
    '<a>\ud800</a>',
    '<a b="\udfff"/>',
    '\ufeff<a/>',
    ' <?xml version="1.0"?><a/>',
    '<a/><?xml version="1.0"?>',
  ]) {
    assert.equal(parseElement(text), undefined, text);
  }
});

test('Element: children by name and namespace, text, builder', () => {
  const empty: undefined | false = false;
  const message = el(
    'message',
    'jabber:client',
    { to: 'a@b', type: undefined },
    'x',
    el('body', 'jabber:client', {}, 'one'),
    empty,
    undefined,
    el('x', 'urn:x'),
    el('body', 'jabber:client', {}, 'two', el('b', 'u'), '!'),
    'y',
  );
  assert.deepEqual({ ...message.attrs }, { to: 'a@b' });
  assert.equal(message.attr('type'), undefined);
  assert.equal(message.attr('constructor'), undefined);
  assert.equal(message.child('body')?.text(), 'one');
  assert.equal(message.child('x'), undefined);
  assert.equal(message.child('x', 'urn:x')?.name, 'x');
  assert.deepEqual(
    message.childrenNamed('body').map((body) => body.text()),
    ['one', 'two!'],
  );
  assert.deepEqual(message.childrenNamed('x', 'urn:x').length, 1);
  assert.deepEqual(
    message.elements().map((child) => child.name),
    ['body', 'x', 'body'],
  );
  assert.equal(message.text(), 'xy');
  assert.ok(message.is('message', 'jabber:client') && !message.is('message', 'jabber:server'));
  assert.equal(el('a', 'u', { ['__proto__']: '1' }).attr('__proto__'), '1');
});
