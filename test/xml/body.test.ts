/** Frame.body: the plain path leaves it alone, the other makes it independent of where it came from. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Frame } from '../../src/xml/frame.ts';
import { LIMITS_OF_CLIENT } from '../../src/xml/limits.ts';
import { elementOf, parseElement } from '../../src/xml/tree.ts';
import { HEADER, framesOf, plainOf, readBySaxes } from './reading.ts';

const WITH_P = HEADER.replace('>', " xmlns:p='urn:p'>");

function frameOf(xml: string, header = WITH_P): Frame {
  const [, frame] = framesOf([Buffer.from(header + xml)]);
  assert.equal(frame?.kind, 'element', JSON.stringify(frame));
  return frame as Frame;
}

const CASES: readonly (readonly [what: string, xml: string, body: string])[] = [
  ['nothing to do', "<a><b xmlns='u'>x > y ]] &#13;</b>\n<c d='\t\n'/></a>", "<b xmlns='u'>x > y ]] &#13;</b>\n<c d='\t\n'/>"],
  ['prefixes declared inside', "<a><q:b xmlns:q='u' q:c='1'><q:d/></q:b></a>", "<q:b xmlns:q='u' q:c='1'><q:d/></q:b>"],
  ['a prefix declared inside with the name of an outer one', "<a><p:b xmlns:p='u'><p:c/></p:b></a>", "<p:b xmlns:p='u'><p:c/></p:b>"],
  ['xml:lang needs no declaration', "<a><b xml:lang='en'/></a>", "<b xml:lang='en'/>"],
  ['outer prefixes used only outside', "<p:a xmlns='jabber:client' p:b='1' xmlns:p='jabber:client'><c/></p:a>", '<c/>'],
  ['a prefix of the header', '<a><p:b><p:c/></p:b></a>', "<p:b xmlns:p='urn:p'><p:c/></p:b>"],
  ['a prefix of the element', "<a xmlns:q='urn:q&amp;\"'><q:b/></a>", "<q:b xmlns:q='urn:q&amp;&quot;'/>"],
  ['a prefix of an attribute', "<a><b><c p:d='1'/></b></a>", "<b xmlns:p='urn:p'><c p:d='1'/></b>"],
  [
    'a prefix used below, and shadowed elsewhere',
    "<a><b xmlns:p='u'><p:c/></b><p:d/></a>",
    "<b xmlns:p='u'><p:c/></b><p:d xmlns:p='urn:p'/>",
  ],
  [
    'a declaration with white space around its sign',
    "<a><b xmlns:p = 'u'><p:c/></b><p:d/></a>",
    "<b xmlns:p = 'u'><p:c/></b><p:d xmlns:p='urn:p'/>",
  ],
  ['the look of a declaration in a value', `<a><p:b c=' xmlns:p="u"' d="/>"/></a>`, `<p:b xmlns:p='urn:p' c=' xmlns:p="u"' d="/>"/>`],
  ['two outer prefixes', "<a xmlns:q='urn:q'><b><p:c/><q:d/></b></a>", "<b xmlns:p='urn:p' xmlns:q='urn:q'><p:c/><q:d/></b>"],
  ['CDATA', '<a><b><![CDATA[<x>&amp;"\']]></b></a>', `<b>&lt;x&gt;&amp;amp;"'</b>`],
  ['CDATA directly inside', '<a>1<![CDATA[2]]>3</a>', '123'],
  ['no section end is made where none was', '<a>]<![CDATA[]]]>></a>', ']]&gt;'],
  ['no section end is made after CDATA', '<a><![CDATA[x]]]]>></a>', 'x]]&gt;'],
  ['carriage returns in text', '<a>1\r\n2\r3\n\r4<b>\r</b></a>', '1\n2\n3\n\n4<b>\n</b>'],
  ['carriage returns in tags', "<a><b\r\nc='1\r\n2\r3'\r/></a\r>", "<b c='1 2 3' />"],
  ['a carriage return in an end tag', '<a><b></b\r\n></a\r>', '<b></b >'],
  ['carriage returns in CDATA', '<a><![CDATA[\r\n]]>\r<![CDATA[\n\r]]></a>', '\n\n\n\n'],
  [
    "a default namespace that is not the element's",
    "<p:a xmlns='urn:d'><b/><c xmlns='urn:e'/><p:d/></p:a>",
    "<b xmlns='urn:d'/><c xmlns='urn:e'/><p:d xmlns='urn:d' xmlns:p='urn:p'/>",
  ],
  ['no default namespace', "<p:a xmlns=''><b/></p:a>", "<b xmlns=''/>"],
  [
    'the stream error',
    "<stream:error><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
    "<not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>",
  ],
  ['text alone under another default namespace', '<p:result>key</p:result>', 'key'],
];

for (const [what, xml, body] of CASES) {
  test(`body: ${what}`, () => {
    const frame = frameOf(xml);
    assert.equal(frame.body, body);
    assert.equal(frame.contentNs, frame.ns, 'an element can be re-written under its own namespace');
    assert.equal(frame.bytes, Buffer.byteLength(xml));
    const expected = readBySaxes(Buffer.from(`${WITH_P}${xml}</stream:stream>`))?.elements[0];
    const tree = elementOf(frame);
    assert.deepEqual(tree && plainOf(tree), expected);
    const alone = parseElement(`<${frame.name} xmlns='${frame.ns}'>${frame.body}</${frame.name}>`);
    assert.deepEqual(alone && plainOf(alone)[3], expected?.[3], 'means the same elsewhere');
  });
}

test('policy-violation: declarations that would multiply past the limit', () => {
  const limits = { ...LIMITS_OF_CLIENT, maxBytes: 20_000 };
  const uri = 'u'.repeat(5000);
  const few = `<a xmlns:q='${uri}'>${'<q:b/>'.repeat(3)}</a>`;
  const many = `<a xmlns:q='${uri}'>${'<q:b/>'.repeat(2000)}</a>`;
  assert.equal(framesOf([Buffer.from(HEADER + few)], limits)[1]?.kind, 'element');
  const error = framesOf([Buffer.from(HEADER + many)], limits)[1];
  assert.equal(error?.kind === 'error' && error.condition, 'policy-violation');
  const wide = framesOf([Buffer.from(`${HEADER}<a xmlns:q='${'日'.repeat(3000)}'><q:b/><q:b/><q:b/></a>`)], limits)[1];
  assert.equal(wide?.kind === 'error' && wide.condition, 'policy-violation', 'counted in bytes');
});
