import assert from 'node:assert/strict';
import { transcript } from '../harness/transcript.ts';
import { childElements, childOf } from '../harness/xml.ts';
import { befriends } from './roster-scenes.ts';

const INFO = 'http://jabber.org/protocol/disco#info';
const ITEMS = 'http://jabber.org/protocol/disco#items';
const SERVICE_UNAVAILABLE = `<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`;
const NOT_FOUND = `<error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`;

transcript('XEP-0030 §3.1: the server has an identity, and disco itself among its features', async (cast) => {
  const { romeo } = cast;
  await romeo.sends(`<iq type='get' id='d1' to='${cast.domain}'><query xmlns='${INFO}'/></iq>`);
  await romeo.receives(`
    <iq type='result' id='d1' from='${cast.domain}'>
      <query xmlns='${INFO}' match:rest='ignore'>
        <identity category='server' type='im' name='{any}'/>
        <feature var='${INFO}'/>
        <feature var='${ITEMS}'/>
      </query>
    </iq>`);
});

transcript('XEP-0030 §3.1: no identity and no feature is there twice', async (cast) => {
  const { romeo } = cast;
  await romeo.sends(`<iq type='get' id='d1' to='${cast.domain}'><query xmlns='${INFO}'/></iq>`);
  const answer = await romeo.receives(`<iq type='result' id='d1'><query xmlns='${INFO}'>{any}</query></iq>`);
  const all = childElements(childOf(answer, 'query')!).map(
    ({ name, attrs }) => `${name} ${attrs['var'] ?? `${attrs['category']}/${attrs['type']}`}`,
  );
  assert.deepEqual(all, [...new Set(all)]);
});

transcript('XEP-0030 §3.2, §7: a node the server does not have', async (cast) => {
  const { romeo } = cast;
  for (const ns of [INFO, ITEMS]) {
    await romeo.sends(`<iq type='get' id='d1' to='${cast.domain}'><query xmlns='${ns}' node='urn:example:nowhere'/></iq>`);
    await romeo.receives(`<iq type='error' id='d1'>${NOT_FOUND}</iq>`);
  }
});

transcript(
  'XEP-0030 §4.1: a server without items says so with an empty list',
  { modules: { pubsub: { service: false }, search: { service: false } } },
  async (cast) => {
    const { romeo } = cast;
    await romeo.sends(`<iq type='get' id='d1' to='${cast.domain}'><query xmlns='${ITEMS}'/></iq>`);
    await romeo.receives(`<iq type='result' id='d1' from='${cast.domain}'><query xmlns='${ITEMS}'/></iq>`);
  },
);

transcript(
  'XEP-0030 §4.1: services the operator names are items',
  {
    modules: {
      pubsub: { service: false },
      search: { service: false },
      disco: { items: [{ jid: 'rooms.capulet.lit', name: 'Rooms' }, { jid: 'files.capulet.lit' }] },
    },
  },
  async (cast) => {
    const { romeo } = cast;
    await romeo.sends(`<iq type='get' id='d1' to='${cast.domain}'><query xmlns='${ITEMS}'/></iq>`);
    await romeo.receives(
      `<iq type='result' id='d1'><query xmlns='${ITEMS}'><item jid='rooms.capulet.lit' name='Rooms'/><item jid='files.capulet.lit'/></query></iq>`,
    );
  },
);

transcript('XEP-0030 §3.1: the owner asks his own account', { differs: { prosody: 'has no identity without PEP' } }, async ({ romeo }) => {
  for (const to of ['', `to='${romeo.bare}'`]) {
    await romeo.sends(`<iq type='get' id='d1' ${to}><query xmlns='${INFO}'/></iq>`);
    await romeo.receives(`
      <iq type='result' id='d1' from='${romeo.bare}'>
        <query xmlns='${INFO}' match:rest='ignore'><identity category='account' type='registered'/><feature var='${INFO}'/></query>
      </iq>`);
  }
});

transcript(
  'XEP-0030 §4.1: the items of an account are its available resources',
  { differs: { prosody: 'has no items', ejabberd: 'names them, connected ones, too' } },
  async ({ romeo, phone }) => {
    await romeo.becomesAvailable();
    await phone.sync(); // connected only
    await romeo.sends(`<iq type='get' id='d1' to='${romeo.bare}'><query xmlns='${ITEMS}'/></iq>`);
    await romeo.receives(`<iq type='result' id='d1' from='${romeo.bare}'><query xmlns='${ITEMS}'><item jid='${romeo.full}'/></query></iq>`);
  },
);

transcript(
  'XEP-0030 §3.1, §4.1: who sees the presence of an account may ask it',
  { differs: { prosody: 'has no items', ejabberd: 'names its items' } },
  async ({ romeo, juliet }) => {
    await befriends(romeo, juliet);
    await juliet.becomesAvailable();
    await romeo.sends(`<iq type='get' id='d1' to='${juliet.bare}'><query xmlns='${INFO}'/></iq>`);
    await romeo.receives(`
    <iq type='result' id='d1' from='${juliet.bare}'>
      <query xmlns='${INFO}' match:rest='ignore'><identity category='account' type='registered'/></query>
    </iq>`);
    await romeo.sends(`<iq type='get' id='d2' to='${juliet.bare}'><query xmlns='${ITEMS}'/></iq>`);
    await romeo.receives(
      `<iq type='result' id='d2' from='${juliet.bare}'><query xmlns='${ITEMS}'><item jid='${juliet.full}'/></query></iq>`,
    );
    await romeo.sends(`<iq type='get' id='d3' to='${juliet.bare}'><query xmlns='${INFO}' node='urn:example:nowhere'/></iq>`);
    await romeo.receives(`<iq type='error' id='d3'>${NOT_FOUND}</iq>`);
  },
);

transcript(
  'XEP-0030 §8: strangers cannot tell by disco whether an account exists, or is there',
  { differs: { prosody: 'refuses items of strangers', ejabberd: 'refuses items of strangers' } },
  async (cast) => {
    const { romeo, juliet } = cast;
    await juliet.becomesAvailable();
    for (const address of [juliet.bare, `nobody@${cast.domain}`]) {
      for (const node of ['', `node='urn:example:nowhere'`]) {
        await romeo.sends(`<iq type='get' id='d1' to='${address}'><query xmlns='${INFO}' ${node}/></iq>`);
        await romeo.receives(`<iq type='error' id='d1' from='${address}'>${SERVICE_UNAVAILABLE}</iq>`);
        await romeo.sends(`<iq type='get' id='d2' to='${address}'><query xmlns='${ITEMS}' ${node}/></iq>`);
        await romeo.receives(`<iq type='result' id='d2' from='${address}'><query xmlns='${ITEMS}' ${node}/></iq>`);
      }
    }
  },
);

transcript('XEP-0030 §8: nor by asking a resource that is not there', async (cast) => {
  const { romeo, juliet } = cast;
  await juliet.becomesAvailable();
  for (const address of [`${juliet.bare}/gone`, `nobody@${cast.domain}/gone`]) {
    for (const ns of [INFO, ITEMS]) {
      await romeo.sends(`<iq type='get' id='d1' to='${address}'><query xmlns='${ns}'/></iq>`);
      await romeo.receives(`<iq type='error' id='d1' from='${address}'>${SERVICE_UNAVAILABLE}</iq>`);
    }
  }
});

transcript(
  'XEP-0157 §3: addresses for contact are in a form among the information',
  {
    modules: {
      disco: {
        name: 'Verona',
        contacts: { abuse: ['mailto:abuse@capulet.lit', 'xmpp:prince@capulet.lit'], status: ['https://status.capulet.lit/'] },
      },
    },
  },
  async (cast) => {
    const { romeo } = cast;
    await romeo.sends(`<iq type='get' id='d1' to='${cast.domain}'><query xmlns='${INFO}'/></iq>`);
    await romeo.receives(`
      <iq type='result' id='d1'>
        <query xmlns='${INFO}' match:rest='ignore'>
          <identity category='server' type='im' name='Verona'/>
          <x xmlns='jabber:x:data' type='result'>
            <field var='FORM_TYPE' type='hidden'><value>http://jabber.org/network/serverinfo</value></field>
            <field var='abuse-addresses' type='list-multi'><value>mailto:abuse@capulet.lit</value><value>xmpp:prince@capulet.lit</value></field>
            <field var='status-addresses' type='list-multi'><value>https://status.capulet.lit/</value></field>
          </x>
        </query>
      </iq>`);
  },
);
