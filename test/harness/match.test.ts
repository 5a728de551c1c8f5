import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fillIn, mismatch, parseExpected } from './match.ts';
import { parseElements, printXml } from './xml.ts';

const compare = (expected: string, actual: string, captures = new Map<string, string>()): string | undefined =>
  mismatch(parseExpected(expected)[0]!, parseElements(actual)[0]!, captures);

const MATCHING: readonly (readonly [string, string, string])[] = [
  ['attributes in another order', `<a x='1' y='2'/>`, `<a y="2" x="1"/>`],
  ['white space between elements', `<a>\n  <b/>\n  <c/>\n</a>`, `<a><b/><c/></a>`],
  ['children in another order', `<a><b/><c/></a>`, `<a><c/><b/></a>`],
  ['twins', `<a><b x='{any}'/><b x='1'/></a>`, `<a><b x='2'/><b x='1'/></a>`],
  ['another prefix', `<a xmlns='urn:a' xmlns:p='urn:p'><p:b/></a>`, `<q:a xmlns:q='urn:a'><b xmlns='urn:p'/></q:a>`],
  ['entities and sections', `<a>&lt;b&gt;</a>`, `<a><![CDATA[<b>]]></a>`],
  ['what the header of a stanza has besides', `<message type='chat'/>`, `<message type='chat' from='a' to='b' id='1' xml:lang='en'/>`],
  ['a message of no type', `<message/>`, `<message type='normal'/>`],
  ['anything inside', `<a><b>{any}</b></a>`, `<a><b><c/>text</b></a>`],
  ['any value', `<a x='{any}'/>`, `<a x=''/>`],
  ['a part of a value', `<a x='romeo@{any}/orchard'/>`, `<a x='romeo@capulet.lit/orchard'/>`],
  ['a time', `<a x='{stamp}'/>`, `<a x='2025-06-01T12:00:00.25Z'/>`],
  ['what must be absent', `<message id='{none}'/>`, `<message/>`],
  ['a value twice', `<a x='{v}' y='{v}'/>`, `<a x='1' y='1'/>`],
  ['more children', `<a match:rest='ignore'><b/></a>`, `<a><c/><b/></a>`],
  ['an optional child', `<a><b match:optional='true'/><c/></a>`, `<a><c/></a>`],
  ['ordered children', `<a match:ordered='true'><b/><c/></a>`, `<a><b/><c/></a>`],
  ['text between elements', `<a>x<b/>y</a>`, `<a>x<b/>y</a>`],
  [
    'what an error may have',
    `<iq type='error'><error type='cancel'><x/></error></iq>`,
    `<iq type='error'><q xmlns='q'/><error type='cancel' by='z' code='4'><x/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>No</text></error></iq>`,
  ],
];

for (const [what, expected, actual] of MATCHING) {
  test(`the matcher takes ${what}`, () => assert.equal(compare(expected, actual), undefined));
}

const OTHER: readonly (readonly [string, string, string, RegExp])[] = [
  ['another name', `<a/>`, `<b/>`, /<b\/> is not <a\/>/],
  ['another namespace', `<a xmlns='urn:a'/>`, `<a/>`, /namespace 'jabber:client', not 'urn:a'/],
  ['another value', `<a x='1'/>`, `<a x='2'/>`, /x of <a\/> is '2', not '1'/],
  ['a missing attribute', `<a x='1'/>`, `<a/>`, /no attribute x/],
  ['a further attribute', `<a/>`, `<a x='1'/>`, /unexpected x='1'/],
  ['another type of message', `<message/>`, `<message type='chat'/>`, /type of <message\/> is 'chat', not 'normal'/],
  ['an id that should not be', `<message id='{none}'/>`, `<message id='1'/>`, /must not have/],
  ['another text', `<a>x</a>`, `<a>y</a>`, /contains 'y', not 'x'/],
  ['white space within text', `<a>x</a>`, `<a> x</a>`, /contains ' x', not 'x'/],
  ['text where none is due', `<a><b/></a>`, `<a>x<b/></a>`, /text 'x'/],
  ['a missing child', `<a><b/></a>`, `<a/>`, /no matching/],
  ['a further child', `<a/>`, `<a><b/></a>`, /unexpected/],
  ['one child for two', `<a><b/><b/></a>`, `<a><b/></a>`, /no matching/],
  ['another order where it counts', `<a match:ordered='true'><b/><c/></a>`, `<a><c/><b/></a>`, /no matching/],
  ['no time', `<a x='{stamp}'/>`, `<a x='yesterday'/>`, /x of <a\/>/],
  ['two values for one name', `<a x='{v}' y='{v}'/>`, `<a x='1' y='2'/>`, /y of <a\/> is '2', not '1'/],
  ['an empty id', `<a x='{id}'/>`, `<a x=''/>`, /x of <a\/>/],
  ['content of an answer that is no error', `<iq type='result'/>`, `<iq type='result'><q xmlns='q'/></iq>`, /unexpected/],
];

for (const [what, expected, actual, reason] of OTHER) {
  test(`the matcher refuses ${what}`, () => assert.match(compare(expected, actual) ?? 'a match', reason));
}

test('what a failed comparison captured is forgotten; what a successful one did is filled in later', () => {
  const captures = new Map<string, string>();
  assert.ok(compare(`<a x='{v}'><b/></a>`, `<a x='1'/>`, captures));
  assert.deepEqual([...captures], []);
  assert.equal(compare(`<a x='{v}'/>`, `<a x='1'/>`, captures), undefined);
  assert.equal(fillIn(`<iq id='{v}'>{other} {any}</iq>`, captures), `<iq id='1'>{other} {any}</iq>`);
});

test('an element is printed so that it can be read', () => {
  const [element] = parseElements(`<message to='b' from="a"><body>x &amp; y</body><q xmlns='urn:q'><r/></q></message>`);
  assert.equal(
    printXml(element!, ''),
    `<message from='a' to='b'>\n  <body>x &amp; y</body>\n  <q xmlns='urn:q'>\n    <r/>\n  </q>\n</message>`,
  );
});

test('a test whose own XML is wrong hears of it', () => {
  assert.throws(() => parseElements('<a>'.replace('>', '')), /the test's XML is wrong/);
  assert.throws(() => parseElements('<a></b>'), /the test's XML is wrong/);
});
