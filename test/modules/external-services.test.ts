/** XEP-0215: services for calls. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { transcript } from '../harness/transcript.ts';
import { childElements, childOf } from '../harness/xml.ts';

const NS = 'urn:xmpp:extdisco:2';
const SECRET = 'the secret of coturn';
const modules = {
  external_services: {
    services: [
      { type: 'stun', host: 'stun.capulet.lit', port: 3478, transport: 'udp' },
      { type: 'turn', host: 'turn.capulet.lit', port: 3478, transport: 'udp', secret: SECRET },
      { type: 'turns', host: 'turn.capulet.lit', port: 5349, transport: 'tcp', secret: SECRET },
      { type: 'ftp', host: 'ftp.capulet.lit', port: 21, transport: 'tcp', name: 'Files', username: 'guest', password: 'guest' },
    ],
    lifetime: '1h',
  },
};
const services = (type?: string): string => `<services xmlns='${NS}'${type === undefined ? '' : ` type='${type}'`}/>`;
const get = (payload: string, to: string): string => `<iq type='get' id='s1' to='${to}'>${payload}</iq>`;
const error = (type: string, condition: string): string =>
  `<iq type='error' id='s1'><error type='${type}'><${condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`;

transcript('XEP-0215 §3.1: all services, with credentials that are good for a while', { modules }, async ({ romeo }) => {
  await romeo.sends(get(services(), romeo.domain));
  const answer = await romeo.receives(
    `<iq type='result' id='s1' from='${romeo.domain}'><services xmlns='${NS}'>
       <service type='stun' host='stun.capulet.lit' port='3478' transport='udp'/>
       <service type='turn' host='turn.capulet.lit' port='3478' transport='udp' username='{any}' password='{any}' restricted='true' expires='{stamp}'/>
       <service type='turns' host='turn.capulet.lit' port='5349' transport='tcp' username='{any}' password='{any}' restricted='true' expires='{stamp}'/>
       <service type='ftp' host='ftp.capulet.lit' port='21' transport='tcp' name='Files' username='guest' password='guest' restricted='true'/>
     </services></iq>`,
  );
  const turn = childElements(childOf(answer, 'services', NS)!)[1]!;
  const username = turn.attrs['username']!;
  const expires = Date.parse(turn.attrs['expires']!) / 1_000;
  assert.equal(expires, Date.UTC(2025, 5, 1, 13, 0, 0) / 1_000);
  assert.match(username, new RegExp(`^${expires}:[\\w-]{12}$`));
  assert.equal(turn.attrs['password'], createHmac('sha1', SECRET).update(username).digest('base64'));
});

transcript('XEP-0215: a TURN server tells users apart, and does not learn who they are', { modules }, async ({ romeo, juliet, phone }) => {
  const names: string[] = [];
  for (const client of [romeo, phone, juliet]) {
    await client.sends(get(services('turn'), client.domain));
    const answer = await client.receives(`<iq type='result' id='s1'>{any}</iq>`);
    names.push(childElements(childOf(answer, 'services', NS)!)[0]!.attrs['username']!);
  }
  assert.equal(names[0], names[1]);
  assert.notEqual(names[0], names[2]);
  assert.ok(!names.some((name) => name.includes('romeo') || name.includes('juliet')));
});

transcript('XEP-0215 §3.2: those of one type', { modules }, async ({ romeo }) => {
  await romeo.sends(get(services('stun'), romeo.domain));
  await romeo.receives(
    `<iq type='result' id='s1'><services xmlns='${NS}' type='stun'><service type='stun' host='stun.capulet.lit' port='3478' transport='udp'/></services></iq>`,
  );
  await romeo.sends(get(services('xyz'), romeo.domain));
  await romeo.receives(`<iq type='result' id='s1'><services xmlns='${NS}' type='xyz'/></iq>`);
});

transcript('XEP-0215 §3.3: credentials for one service', { modules }, async ({ romeo }) => {
  const credentials = (attrs: string): string => get(`<credentials xmlns='${NS}'><service ${attrs}/></credentials>`, romeo.domain);
  await romeo.sends(credentials(`host='turn.capulet.lit' type='turn'`));
  await romeo.receives(
    `<iq type='result' id='s1'><credentials xmlns='${NS}'>
       <service type='turn' host='turn.capulet.lit' port='3478' transport='udp' username='{any}' password='{any}' restricted='true' expires='{stamp}'/>
     </credentials></iq>`,
  );
  await romeo.sends(credentials(`host='turn.capulet.lit' type='turns' port='5349'`));
  await romeo.receives(`<iq type='result' id='s1'>{any}</iq>`);
  for (const attrs of [
    `host='turn.capulet.lit' type='turn' port='1'`,
    `host='elsewhere.lit' type='turn'`,
    `host='stun.capulet.lit' type='stun'`,
  ]) {
    await romeo.sends(credentials(attrs));
    await romeo.receives(error('cancel', 'item-not-found'));
  }
  for (const attrs of ['', `host='turn.capulet.lit'`, `type='turn'`]) {
    await romeo.sends(credentials(attrs));
    await romeo.receives(error('modify', 'bad-request'));
  }
});

transcript('XEP-0215 §5: it is told where there are any', { modules }, async ({ romeo }) => {
  await romeo.sends(get(`<query xmlns='http://jabber.org/protocol/disco#info'/>`, romeo.domain));
  const info = childOf(await romeo.receives(`<iq type='result' id='s1'>{any}</iq>`), 'query')!;
  assert.ok(childElements(info).some(({ attrs }) => attrs['var'] === NS));
});

transcript('XEP-0215 §5: and not where there are none', { onlyOurs: 'its configuration' }, async ({ romeo }) => {
  await romeo.sends(get(`<query xmlns='http://jabber.org/protocol/disco#info'/>`, romeo.domain));
  const info = childOf(await romeo.receives(`<iq type='result' id='s1'>{any}</iq>`), 'query')!;
  assert.ok(!childElements(info).some(({ attrs }) => attrs['var'] === NS));
  await romeo.sends(get(services(), romeo.domain));
  await romeo.receives(`<iq type='result' id='s1'><services xmlns='${NS}'/></iq>`);
});
