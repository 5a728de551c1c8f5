import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { transcript } from '../harness/transcript.ts';
import { childElements, childOf, textOf, type XmlElement } from '../harness/xml.ts';

const CAPS = 'http://jabber.org/protocol/caps';
const INFO = 'http://jabber.org/protocol/disco#info';

transcript('XEP-0115 §6.3: the stream features after login carry the hash of what disco says', async (cast) => {
  const { romeo } = cast;
  const client = await cast.raw();
  const features = await client.logsIn({ local: romeo.local, password: cast.passwordOf('romeo') });
  const caps = childOf(features, 'c', CAPS)!;
  assert.equal(caps.attrs['hash'], 'sha-1');

  await romeo.sends(
    `<iq type='get' id='d1' to='${cast.domain}'><query xmlns='${INFO}' node='${caps.attrs['node']}#${caps.attrs['ver']}'/></iq>`,
  );
  const answer = await romeo.receives(
    `<iq type='result' id='d1'><query xmlns='${INFO}' node='${caps.attrs['node']}#${caps.attrs['ver']}'>{any}</query></iq>`,
  );
  assert.equal(verification(childOf(answer, 'query', INFO)!), caps.attrs['ver']);
});

transcript('XEP-0115 §6.2: an older hash is no node of the server', async (cast) => {
  const { romeo } = cast;
  await romeo.sends(
    `<iq type='get' id='d1' to='${cast.domain}'><query xmlns='${INFO}' node='urn:rookery:server#AAAAAAAAAAAAAAAAAAAAAAAAAAA='/></iq>`,
  );
  await romeo.receives(
    `<iq type='error' id='d1'><error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`,
  );
});

transcript('XEP-0115 §7: disco announces it', { differs: { prosody: 'does not', ejabberd: 'does not' } }, async (cast) => {
  const { romeo } = cast;
  await romeo.sends(`<iq type='get' id='d1' to='${cast.domain}'><query xmlns='${INFO}'/></iq>`);
  await romeo.receives(`<iq type='result' id='d1'><query xmlns='${INFO}' match:rest='ignore'><feature var='${CAPS}'/></query></iq>`);
});

transcript("XEP-0115 §6.1: a client's capabilities pass through in its presence", async ({ romeo, juliet }) => {
  const caps = `<c xmlns='${CAPS}' hash='sha-1' node='http://code.google.com/p/exodus' ver='QgayPKawpkPSDYmwT/WM94uAlu0='/>`;
  await romeo.sends(`<presence to='${juliet.full}'>${caps}</presence>`);
  await juliet.receives(`<presence from='${romeo.full}'>${caps}</presence>`);
});

transcript(
  'XEP-0115 §5.1: a contact form counts in the hash',
  { modules: { disco: { contacts: { abuse: ['mailto:abuse@capulet.lit'] } } } },
  async (cast) => {
    const { romeo } = cast;
    const client = await cast.raw();
    const caps = childOf(await client.logsIn({ local: romeo.local, password: cast.passwordOf('romeo') }), 'c', CAPS)!;
    await romeo.sends(`<iq type='get' id='d1' to='${cast.domain}'><query xmlns='${INFO}'/></iq>`);
    const answer = await romeo.receives(`<iq type='result' id='d1'><query xmlns='${INFO}'>{any}</query></iq>`);
    assert.equal(verification(childOf(answer, 'query', INFO)!), caps.attrs['ver']);
  },
);

/** §5.1, written once more. */
function verification(query: XmlElement): string {
  const children = childElements(query);
  const identities = children
    .filter(({ name }) => name === 'identity')
    .map(({ attrs }) => `${attrs['category']}/${attrs['type']}/${attrs['xml:lang'] ?? ''}/${attrs['name'] ?? ''}`);
  const features = children.filter(({ name }) => name === 'feature').map(({ attrs }) => attrs['var']!);
  const forms = children.filter(({ name }) => name === 'x').map(formText);
  return createHash('sha1')
    .update([...identities.sort(), ...features.sort(), ...forms.sort()].map((part) => `${part}<`).join(''))
    .digest('base64');
}

function formText(form: XmlElement): string {
  const fields = childElements(form).map((field) => ({ name: field.attrs['var']!, values: childElements(field).map(textOf).sort() }));
  const formType = fields.find(({ name }) => name === 'FORM_TYPE')!.values[0]!;
  const rest = fields.filter(({ name }) => name !== 'FORM_TYPE').sort((a, b) => (a.name < b.name ? -1 : 1));
  return [formType, ...rest.flatMap(({ name, values }) => [name, ...values])].join('<');
}
