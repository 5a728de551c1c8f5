import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { el, type Element } from '../../src/xml/element.ts';
import {
  capsElement,
  capsVer,
  DISCO_LIMITS,
  discoInfoElement,
  parseCaps,
  parseDiscoInfo,
  verifyCaps,
  type DiscoInfo,
} from '../../src/xmpp/caps.ts';
import { formTypeField, type DataForm } from '../../src/xmpp/data-form.ts';
import { NS } from '../../src/xmpp/namespaces.ts';

const CAPS = 'http://jabber.org/protocol/caps';
const INFO = 'http://jabber.org/protocol/disco#info';
const ITEMS = 'http://jabber.org/protocol/disco#items';
const MUC = 'http://jabber.org/protocol/muc';

/** §5.2 */
const EXODUS: DiscoInfo = {
  identities: [{ category: 'client', type: 'pc', name: 'Exodus 0.9.1' }],
  features: [MUC, ITEMS, CAPS, INFO],
  forms: [],
};
const EXODUS_VER = 'QgayPKawpkPSDYmwT/WM94uAlu0=';

const SOFTWARE: DataForm = {
  kind: 'result',
  fields: [
    { var: 'software', values: ['Psi'] },
    formTypeField('urn:xmpp:dataforms:softwareinfo'),
    { var: 'ip_version', type: 'text-multi', values: ['ipv6', 'ipv4'] },
    { var: 'software_version', values: ['0.11'] },
    { var: 'os_version', values: ['10.5.1'] },
    { var: 'os', values: ['Mac'] },
  ],
};
/** §5.3 */
const PSI: DiscoInfo = {
  identities: [
    { category: 'client', type: 'pc', lang: 'en', name: 'Psi 0.11' },
    { category: 'client', type: 'pc', lang: 'el', name: 'Ψ 0.11' },
  ],
  features: [CAPS, INFO, ITEMS, MUC],
  forms: [SOFTWARE],
};
const PSI_VER = 'q07IKJEyjvHSyhy//CH0CxmKi8w=';

test('XEP-0115 §5.2 and §5.3: the example verification strings', () => {
  assert.equal(capsVer(EXODUS), EXODUS_VER);
  assert.equal(capsVer(PSI), PSI_VER);
});

test('XEP-0115 §5.1: the order of an answer does not matter', () => {
  assert.equal(
    capsVer({
      ...PSI,
      identities: PSI.identities.toReversed(),
      features: PSI.features.toReversed(),
      forms: [{ ...SOFTWARE, fields: SOFTWARE.fields.toReversed() }],
    }),
    PSI_VER,
  );
});

test('RFC 4790 §9.3: octets are sorted, not UTF-16', () => {
  // U+FFFD before U+1F600 in UTF-8, after it in UTF-16.
  const sorted = capsVer({ identities: [], features: ['\uFFFD', '😀'], forms: [] });
  assert.equal(sorted, capsVer({ identities: [], features: ['😀', '\uFFFD'], forms: [] }));
  assert.equal(sorted, hash('sha1', '\uFFFD<😀<', 'base64'));
});

test('XEP-0115 §5.4: a right answer is valid under every hash of the list', () => {
  assert.equal(verifyCaps({ ver: EXODUS_VER, hash: 'sha-1' }, EXODUS), 'valid');
  for (const hash of ['sha-224', 'sha-256', 'sha-384', 'sha-512', 'sha3-256', 'sha3-512'])
    assert.equal(verifyCaps({ ver: capsVer(EXODUS, hash), hash }, EXODUS), 'valid');
  for (const hash of ['md5', 'SHA-1', 'sha1', '', '__proto__']) {
    assert.equal(verifyCaps({ ver: EXODUS_VER, hash }, EXODUS), 'unknown_hash');
    assert.throws(() => capsVer(EXODUS, hash), RangeError);
  }
});

test('XEP-0115 §5.4: a changed answer does not match', () => {
  for (const changed of [
    { ...EXODUS, features: [...EXODUS.features, 'urn:xmpp:ping'] },
    { ...EXODUS, features: EXODUS.features.slice(1) },
    { ...EXODUS, identities: [{ category: 'client', type: 'phone', name: 'Exodus 0.9.1' }] },
    { ...EXODUS, identities: [{ category: 'client', type: 'pc', lang: 'en', name: 'Exodus 0.9.1' }] },
    { ...EXODUS, forms: [SOFTWARE] },
  ]) {
    assert.equal(verifyCaps({ ver: EXODUS_VER, hash: 'sha-1' }, changed), 'mismatch');
  }
  assert.equal(verifyCaps({ ver: 'QgayPKawpkPSDYmwT/WM94uAlu0', hash: 'sha-1' }, EXODUS), 'mismatch');
});

test('XEP-0115 §5.4 steps 3.3 to 3.5: answers that are ill-formed', () => {
  const twoTypes: DataForm = { kind: 'result', fields: [{ var: 'FORM_TYPE', type: 'hidden', values: ['a', 'b'] }] };
  for (const info of [
    { ...EXODUS, identities: [...EXODUS.identities, ...EXODUS.identities] },
    { ...EXODUS, features: [...EXODUS.features, MUC] },
    { ...EXODUS, forms: [SOFTWARE, SOFTWARE] },
    { ...EXODUS, forms: [twoTypes] },
  ]) {
    assert.equal(verifyCaps({ ver: capsVer(info), hash: 'sha-1' }, info), 'ill_formed');
  }
  const sameTwice: DataForm = { kind: 'result', fields: [{ var: 'FORM_TYPE', type: 'hidden', values: ['a', 'a'] }] };
  assert.notEqual(verifyCaps({ ver: EXODUS_VER, hash: 'sha-1' }, { ...EXODUS, forms: [sameTwice] }), 'ill_formed');
});

test('XEP-0115 §5.4 step 3.6: a form without a hidden FORM_TYPE is left out', () => {
  for (const fields of [
    [{ var: 'x', values: ['y'] }],
    [{ var: 'FORM_TYPE', type: 'text-single' as const, values: ['x'] }],
    [{ var: 'FORM_TYPE', values: ['x'] }],
  ]) {
    assert.equal(verifyCaps({ ver: EXODUS_VER, hash: 'sha-1' }, { ...EXODUS, forms: [{ kind: 'result', fields }] }), 'valid');
  }
});

test('XEP-0115 §9.3: an answer that hides features in a form has the right hash and is not for everybody', () => {
  // Same octets: the last two features as a form with one empty field.
  const poisoned: DiscoInfo = {
    ...EXODUS,
    features: [CAPS, INFO],
    forms: [{ kind: 'result', fields: [formTypeField(ITEMS), { var: MUC, values: [] }] }],
  };
  assert.equal(capsVer(poisoned), EXODUS_VER);
  assert.equal(verifyCaps({ ver: EXODUS_VER, hash: 'sha-1' }, poisoned), 'ambiguous');
});

test('XEP-0115 §9.3: other ways to the same octets are not for everybody either', () => {
  const others: DiscoInfo[] = [
    { ...EXODUS, identities: [{ category: 'client', type: 'pc', name: `Exodus 0.9.1<${CAPS}` }], features: [INFO, ITEMS, MUC] }, // a feature in a name
    { ...EXODUS, identities: [], features: ['client/pc//Exodus 0.9.1', ...EXODUS.features] }, // an identity as a feature
    { ...EXODUS, features: [`${CAPS}<${INFO}`, ITEMS, MUC] }, // two features as one
    {
      ...EXODUS,
      identities: [...EXODUS.identities, { category: 'http:', type: '', lang: 'jabber.org', name: 'protocol/caps' }],
      features: [INFO, ITEMS, MUC],
    }, // a feature as an identity
    {
      ...EXODUS,
      identities: [{ category: 'client', type: 'pc//Exodus 0.9.1<http:', lang: 'jabber.org', name: 'protocol/caps' }],
      features: [INFO, ITEMS, MUC],
    },
  ];
  for (const info of others.slice(0, 4)) {
    assert.equal(capsVer(info), EXODUS_VER);
    assert.equal(verifyCaps({ ver: EXODUS_VER, hash: 'sha-1' }, info), 'ambiguous');
  }
  assert.notEqual(verifyCaps({ ver: EXODUS_VER, hash: 'sha-1' }, others[4]!), 'valid');
  // An honest form is fine where a feature sorts after its type.
  const honest = { ...PSI, features: [...PSI.features, 'urn:xmpp:ping'] };
  assert.equal(verifyCaps({ ver: capsVer(honest), hash: 'sha-1' }, honest), 'valid');
});

test('no two different answers are valid for the same hash', () => {
  const words = fc.constantFrom('a', 'b', 'a/b', 'a/b//c', 'c', 'a<b', '', 'd:e', 'client');
  const form = fc
    .record({
      formType: words,
      fields: fc.uniqueArray(fc.record({ var: words, values: fc.array(words, { maxLength: 2 }) }), {
        maxLength: 2,
        selector: (field) => field.var,
      }),
    })
    .map(({ formType, fields }): DataForm => ({ kind: 'result', fields: [formTypeField(formType), ...fields] }));
  const info: fc.Arbitrary<DiscoInfo> = fc.record({
    identities: fc.array(fc.record({ category: words, type: words, lang: words, name: words }), { maxLength: 2 }),
    features: fc.array(words, { maxLength: 4 }),
    forms: fc.array(form, { maxLength: 2 }),
  });
  const canonical = ({ identities, features }: DiscoInfo): string =>
    JSON.stringify([identities.map((each) => JSON.stringify(each)).toSorted(), features.toSorted()]);
  const byVer = new Map<string, string>();
  let valid = 0;
  fc.assert(
    fc.property(info, (each) => {
      const ver = capsVer(each);
      if (verifyCaps({ ver, hash: 'sha-1' }, each) !== 'valid') return;
      valid++;
      const other = byVer.get(ver);
      if (other !== undefined) assert.equal(canonical(each), other);
      byVer.set(ver, canonical(each));
    }),
    { seed: 115, numRuns: 20_000 },
  );
  assert.ok(valid > 300, `${valid} valid`);
});

test('XEP-0115 §4: the <c/> element', () => {
  const caps = { node: 'http://psi-im.org', ver: PSI_VER, hash: 'sha-1' };
  assert.deepEqual(parseCaps(capsElement(caps)), caps);
  const c = (attrs: Record<string, string>): Element => el('c', NS.caps, attrs);
  assert.equal(parseCaps(c({ node: 'http://psi-im.org', ver: '0.9' })), undefined); // §13: before hashes
  assert.equal(parseCaps(c({ ver: 'x', hash: 'sha-1' })), undefined);
  assert.equal(parseCaps(c({ node: '', ver: 'x', hash: 'sha-1' })), undefined);
  assert.equal(parseCaps(c({ node: 'n'.repeat(1025), ver: 'x', hash: 'sha-1' })), undefined);
  assert.equal(parseCaps(el('c', 'other', caps)), undefined);
});

test('XEP-0030 §3.1: parse after print is the same information', () => {
  const parsed = parseDiscoInfo(discoInfoElement(PSI, `http://psi-im.org#${PSI_VER}`))!;
  assert.equal(capsVer(parsed), PSI_VER);
  assert.deepEqual(parsed.identities, PSI.identities);
  assert.deepEqual(parsed.features, PSI.features);
});

test('XEP-0030 §3.1: answers without what is required, and too large ones', () => {
  const query = (...children: Element[]): Element => el('query', NS.discoInfo, {}, ...children);
  const identity = (attrs: Record<string, string>): Element => el('identity', NS.discoInfo, attrs);
  const feature = (i: number): Element => el('feature', NS.discoInfo, { var: `urn:${i}` });
  assert.ok(parseDiscoInfo(query(identity({ category: 'client', type: 'pc' }), el('other', 'urn:x'))));
  for (const bad of [
    query(identity({ category: 'client' })),
    query(identity({ type: 'pc' })),
    query(el('feature', NS.discoInfo)),
    query(el('x', NS.dataForm, { type: 'none' })),
    query(...Array.from({ length: DISCO_LIMITS.maxFeatures + 1 }, (_, i) => feature(i))),
    el('query', NS.discoItems),
  ]) {
    assert.equal(parseDiscoInfo(bad), undefined);
  }
});
