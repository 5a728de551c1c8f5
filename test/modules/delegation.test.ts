/** Namespaces that a component serves in place of the server. XEP-0355 */
import assert from 'node:assert/strict';
import type { CastOfClients } from '../harness/cast.ts';
import type { StreamClient } from '../harness/stream-client.ts';
import { COMPONENT } from '../harness/target.ts';
import { transcript } from '../harness/transcript.ts';
import { childElements } from '../harness/xml.ts';

const GATEWAY = COMPONENT.domain;
const NS = 'urn:xmpp:delegation:2';
const STANZAS = 'urn:ietf:params:xml:ns:xmpp-stanzas';
const INFO = 'http://jabber.org/protocol/disco#info';
const ITEMS = 'http://jabber.org/protocol/disco#items';
const OPTIONS = {
  modules: {
    delegation: {
      namespaces: {
        'urn:example:thing': { to: GATEWAY },
        'jabber:iq:version': { to: GATEWAY, attributes: ['node'] },
        [`${NS}:bare:disco#info:*`]: { to: GATEWAY },
        [`${NS}:bare:disco#items:*`]: { to: GATEWAY },
      },
    },
  },
};

function played(title: string, play: (cast: CastOfClients) => Promise<void>): void {
  transcript(title, OPTIONS, play);
}

/** A component that has taken in what it is told at first. */
async function connected(cast: CastOfClients): Promise<StreamClient> {
  await cast.ready();
  const gateway = await cast.component();
  gateway.takesAll();
  return gateway;
}

const answer = (id: string, inner: string, type = 'result'): string =>
  `<iq from='${GATEWAY}' to='capulet.lit' id='${id}' type='${type}'><delegation xmlns='${NS}'><forwarded xmlns='urn:xmpp:forward:0'>${inner}</forwarded></delegation></iq>`;

played('§4.2: the component is told what is delegated to it, and asked what is to be said of it', async (cast) => {
  await cast.ready();
  const gateway = await cast.component();
  await gateway.receives(`
    <message from='capulet.lit' to='${GATEWAY}'><delegation xmlns='${NS}'>
      <delegated namespace='urn:example:thing'/>
      <delegated namespace='jabber:iq:version'><attribute name='node'/></delegated>
      <delegated namespace='${NS}:bare:disco#info:*'/>
      <delegated namespace='${NS}:bare:disco#items:*'/>
    </delegation></message>`);
  const asked = gateway.takesAll().map((each) => childElements(each)[0]!.attrs['node']);
  assert.deepEqual(
    asked,
    ['::', ':bare:'].map((kind) => `${NS}${kind}urn:example:thing`).concat(['::', ':bare:'].map((kind) => `${NS}${kind}jabber:iq:version`)),
  );
});

played('§4.3: what is asked of an account or the server goes to the component, and its answer comes back', async (cast) => {
  const { romeo, juliet } = cast;
  const gateway = await connected(cast);
  for (const [by, to, shown] of [
    [romeo, '', romeo.bare],
    [romeo, ` to='${romeo.bare}'`, romeo.bare],
    [romeo, ` to='capulet.lit'`, 'capulet.lit'],
    [romeo, ` to='${juliet.bare}'`, juliet.bare],
  ] as const) {
    await by.sends(`<iq${to} type='set' id='t1'><thing xmlns='urn:example:thing'><x/></thing></iq>`);
    await gateway.receives(`
      <iq from='capulet.lit' to='${GATEWAY}' type='set' id='{q}'><delegation xmlns='${NS}'><forwarded xmlns='urn:xmpp:forward:0'>
        <iq xmlns='jabber:client' from='${romeo.full}' to='${shown}' type='set' id='t1'><thing xmlns='urn:example:thing'><x/></thing></iq>
      </forwarded></delegation></iq>`);
    await gateway.sends(
      answer('{q}', `<iq xmlns='jabber:client' to='${romeo.full}' id='t1' type='result'><done xmlns='urn:example:thing'/></iq>`),
    );
    await romeo.receives(`<iq from='${shown}' to='${romeo.full}' type='result' id='t1'><done xmlns='urn:example:thing'/></iq>`);
    cast.captured.delete('q');
  }
});

played('§4.3: an answer that is none, and an error, become service-unavailable', async (cast) => {
  const { romeo } = cast;
  const gateway = await connected(cast);
  const bad = [
    `<iq xmlns='jabber:client' to='${romeo.bare}' id='t1' type='result'/>`,
    `<iq xmlns='jabber:client' to='${romeo.full}' id='t2' type='result'/>`,
    `<iq xmlns='jabber:client' to='${romeo.full}' id='t1' type='set'><x xmlns='y'/></iq>`,
    `<iq xmlns='jabber:client' to='${romeo.full}' from='someone@else.lit' id='t1' type='result'/>`,
    '',
  ];
  for (const inner of bad) {
    await romeo.sends(`<iq type='set' id='t1'><thing xmlns='urn:example:thing'/></iq>`);
    const { attrs } = await gateway.takes('the question', ({ name }) => name === 'iq');
    await gateway.sends(answer(attrs['id']!, inner));
    await romeo.receives(`<iq type='error' id='t1'><error type='cancel'><service-unavailable xmlns='${STANZAS}'/></error></iq>`);
  }
  await romeo.sends(`<iq type='set' id='t1'><thing xmlns='urn:example:thing'/></iq>`);
  const { attrs } = await gateway.takes('the question', ({ name }) => name === 'iq');
  await gateway.sends(
    `<iq from='${GATEWAY}' to='capulet.lit' id='${attrs['id']}' type='error'><error type='cancel'><gone xmlns='${STANZAS}'/></error></iq>`,
  );
  await romeo.receives(`<iq type='error' id='t1'><error type='cancel'><service-unavailable xmlns='${STANZAS}'/></error></iq>`);
});

played('§4.3: only the component can answer, and only what it was asked', async (cast) => {
  const { romeo, juliet } = cast;
  const gateway = await connected(cast);
  await romeo.sends(`<iq type='set' id='t1'><thing xmlns='urn:example:thing'/></iq>`);
  const { attrs } = await gateway.takes('the question', ({ name }) => name === 'iq');
  const inner = `<iq xmlns='jabber:client' to='${romeo.full}' id='t1' type='result'/>`;
  await juliet.sends(answer(attrs['id']!, inner).replace(`from='${GATEWAY}' `, ''));
  await gateway.sends(answer(attrs['id']!, inner).replace(`from='${GATEWAY}'`, `from='x@${GATEWAY}'`));
  const forged = attrs['id']!.replace(
    /^[^.]*/,
    Buffer.from(JSON.stringify(['iq', GATEWAY, juliet.full, juliet.bare, 'z'])).toString('base64url'),
  );
  await gateway.sends(answer(forged, `<iq xmlns='jabber:client' to='${juliet.full}' id='z' type='result'/>`));
  await romeo.receivesNothing();
  await juliet.receivesNothing();
});

played('§4.3 N.B.1, N.B.3: not connected, and filtering attributes', async (cast) => {
  const { romeo } = cast;
  await romeo.sends(`<iq type='set' id='t1'><thing xmlns='urn:example:thing'/></iq>`);
  await romeo.receives(`<iq type='error' id='t1'><error type='cancel'><service-unavailable xmlns='${STANZAS}'/></error></iq>`);
  const gateway = await connected(cast);
  await romeo.sends(`<iq to='capulet.lit' type='get' id='v1'><query xmlns='jabber:iq:version'/></iq>`);
  await romeo.takes('our own answer', ({ attrs: { id, type } }) => id === 'v1' && type === 'result');
  assert.deepEqual(gateway.takesAll(), []);
  await romeo.sends(`<iq to='capulet.lit' type='get' id='v2'><query xmlns='jabber:iq:version' node='x'/></iq>`);
  await gateway.takes('the question', ({ name }) => name === 'iq');
});

played('§4.3.1: what the component itself asks is the server’s to answer', async (cast) => {
  const gateway = await connected(cast);
  await gateway.sends(`<iq from='${GATEWAY}' to='capulet.lit' type='get' id='v1'><query xmlns='jabber:iq:version' node='x'/></iq>`);
  await gateway.takes('our own answer', ({ attrs }) => attrs['id'] === 'v1' && attrs['type'] === 'result');
});

played('§7.2: the component’s features stand in the server’s and the accounts’ answers, in place of our own', async (cast) => {
  const { romeo } = cast;
  await cast.ready();
  const gateway = await cast.component();
  for (const question of gateway.takesAll().filter(({ name }) => name === 'iq')) {
    const { node } = childElements(question)[0]!.attrs;
    const isBare = node!.includes(':bare:');
    const said = node!.endsWith('thing')
      ? `${isBare ? `<identity category='pubsub' type='pep'/>` : ''}<feature var='urn:example:thing'/><feature var='urn:example:thing#${isBare ? 'bare' : 'server'}'/>`
      : '';
    await gateway.sends(
      `<iq from='${GATEWAY}' to='capulet.lit' type='result' id='${question.attrs['id']}'><query xmlns='${INFO}' node='${node}'>${said}</query></iq>`,
    );
  }
  const features = async (to: string): Promise<string[]> => {
    await romeo.sends(`<iq to='${to}' type='get' id='d'><query xmlns='${INFO}'/></iq>`);
    const info = await romeo.takes('disco', ({ attrs }) => attrs['id'] === 'd');
    return childElements(childElements(info)[0]!).map(({ name, attrs }) =>
      name === 'feature' ? attrs['var']! : `${attrs['category']}/${attrs['type']}`,
    );
  };
  const server = await features('capulet.lit');
  assert.ok(server.includes('urn:example:thing#server') && server.includes(NS), server.join(' '));
  assert.ok(!server.includes('jabber:iq:version') && !server.includes('urn:example:thing#bare'));
  const own = await features(romeo.bare);
  assert.ok(own.includes('urn:example:thing#bare') && own.includes('pubsub/pep') && !own.includes('urn:example:thing#server'));
});

played('§7.2.4, §7.2.5: nodes and items of accounts', async (cast) => {
  const { romeo } = cast;
  const gateway = await connected(cast);
  for (const query of [
    `<query xmlns='${INFO}' node='urn:xmpp:microblog:0'/>`,
    `<query xmlns='${ITEMS}'/>`,
    `<query xmlns='${ITEMS}' node='urn:xmpp:microblog:0'/>`,
  ]) {
    await romeo.sends(`<iq to='${romeo.bare}' type='get' id='d'>${query}</iq>`);
    const { attrs } = await gateway.takes('the question', ({ name }) => name === 'iq');
    await gateway.sends(answer(attrs['id']!, `<iq xmlns='jabber:client' to='${romeo.full}' id='d' type='result'>${query}</iq>`));
    await romeo.receives(`<iq from='${romeo.bare}' type='result' id='d'>${query}</iq>`);
  }
  await romeo.sends(`<iq to='${romeo.bare}' type='get' id='d'><query xmlns='${INFO}'/></iq>`);
  await romeo.takes('our own answer', ({ attrs }) => attrs['id'] === 'd');
  await romeo.sends(`<iq to='capulet.lit' type='get' id='e'><query xmlns='${ITEMS}'/></iq>`);
  await romeo.takes('our own answer', ({ attrs }) => attrs['id'] === 'e');
  assert.deepEqual(gateway.takesAll(), []);
});
