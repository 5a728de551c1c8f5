/** Components that may act for accounts. XEP-0356 */
import assert from 'node:assert/strict';
import type { CastOfClients } from '../harness/cast.ts';
import type { StreamClient } from '../harness/stream-client.ts';
import { COMPONENT } from '../harness/target.ts';
import { transcript } from '../harness/transcript.ts';

const GATEWAY = COMPONENT.domain;
const NS = 'urn:xmpp:privilege:2';
const STANZAS = 'urn:ietf:params:xml:ns:xmpp-stanzas';
const ALL = {
  roster: 'both',
  message: 'outgoing',
  presence: 'roster',
  iq: { 'jabber:iq:version': 'get', 'http://jabber.org/protocol/pubsub': 'set' },
};

function played(
  title: string,
  permissions: Readonly<Record<string, unknown>> | undefined,
  play: (cast: CastOfClients, gateway: () => Promise<StreamClient>) => Promise<void>,
): void {
  const components = permissions === undefined ? {} : { [GATEWAY]: permissions };
  transcript(title, { modules: { privilege: { components } } }, async (cast) => {
    await play(cast, async () => {
      const gateway = await cast.component();
      if (permissions !== undefined) await gateway.takes('what it may', ({ name }) => name === 'message');
      return gateway;
    });
  });
}

transcript(
  'XEP-0356 §4.2, §5.2, §6.2, §7.2: the component is told what it may, in one message',
  { modules: { privilege: { components: { [GATEWAY]: ALL } } } },
  async (cast) => {
    await cast.ready();
    const gateway = await cast.component();
    await gateway.receives(`
    <message from='${cast.domain}' to='${GATEWAY}' id='{id}'>
      <privilege xmlns='${NS}'>
        <perm access='roster' type='both' push='true'/>
        <perm access='message' type='outgoing'/>
        <perm access='iq'><namespace ns='jabber:iq:version' type='get'/><namespace ns='http://jabber.org/protocol/pubsub' type='set'/></perm>
        <perm access='presence' type='roster'/>
      </privilege>
    </message>`);
    const granted = cast.memory.logged.filter(({ what }) => what === 'privileges_granted');
    assert.deepEqual(
      granted.map(({ fields }) => fields['component']),
      [GATEWAY],
    );
  },
);

played('XEP-0356 §4.3, §4.4: it reads and changes rosters, and gets the pushes', ALL, async ({ romeo, juliet }, connect) => {
  await romeo.sync();
  const gateway = await connect();
  await gateway.sends(
    `<iq from='${GATEWAY}' to='${romeo.bare}' type='set' id='s1'><query xmlns='jabber:iq:roster'><item jid='nurse@${GATEWAY}' name='Nurse'/></query></iq>`,
  );
  await gateway.receivesInAnyOrder(
    `<iq from='${romeo.bare}' type='result' id='s1'/>`,
    `<iq from='${romeo.bare}' to='${GATEWAY}' type='set' id='{id}'><query xmlns='jabber:iq:roster' ver='{any}'><item jid='nurse@${GATEWAY}' name='Nurse' subscription='none'/></query></iq>`,
  );
  await gateway.sends(`<iq from='${GATEWAY}' to='${romeo.bare}' type='get' id='g1'><query xmlns='jabber:iq:roster'/></iq>`);
  await gateway.receives(
    `<iq from='${romeo.bare}' type='result' id='g1'><query xmlns='jabber:iq:roster' ver='{any}'><item jid='nurse@${GATEWAY}' name='Nurse' subscription='none'/></query></iq>`,
  );
  await juliet.sends(`<iq type='set' id='r'><query xmlns='jabber:iq:roster'><item jid='x@y.lit'/></query></iq>`);
  await gateway.receives(
    `<iq from='${juliet.bare}' type='set'><query xmlns='jabber:iq:roster' ver='{any}'><item jid='x@y.lit' subscription='none'/></query></iq>`,
  );
});

played('XEP-0356 §4.1: only what was granted; none of it for others', { roster: 'get', roster_push: false }, async ({ romeo }, connect) => {
  await romeo.sync();
  const gateway = await connect();
  await gateway.sends(
    `<iq from='${GATEWAY}' to='${romeo.bare}' type='set' id='s1'><query xmlns='jabber:iq:roster'><item jid='a@b.lit'/></query></iq>`,
  );
  await gateway.receives(`<iq from='${romeo.bare}' type='error' id='s1'><error type='auth'><forbidden xmlns='${STANZAS}'/></error></iq>`);
  await gateway.sends(`<iq from='nurse@${GATEWAY}' to='${romeo.bare}' type='get' id='g1'><query xmlns='jabber:iq:roster'/></iq>`);
  await gateway.receives(
    `<iq from='${romeo.bare}' type='error' id='g1'><error type='cancel'><service-unavailable xmlns='${STANZAS}'/></error></iq>`,
  );
  await gateway.sends(`<iq from='${GATEWAY}' to='${romeo.bare}' type='get' id='g2'><query xmlns='jabber:iq:roster'/></iq>`);
  await gateway.receives(`<iq from='${romeo.bare}' type='result' id='g2'><query xmlns='jabber:iq:roster' ver='{any}'/></iq>`);
  await romeo.sends(`<iq type='set' id='r'><query xmlns='jabber:iq:roster'><item jid='x@y.lit'/></query></iq>`);
  await romeo.receives(`<iq type='result' id='r'/>`);
  assert.deepEqual(gateway.takesAll(), []);
});

played('XEP-0356 §5.3: it sends messages as from accounts and the server', ALL, async ({ romeo, juliet, domain }, connect) => {
  await romeo.sync();
  const gateway = await connect();
  const wrapped = (from: string): string =>
    `<message from='${GATEWAY}' to='${domain}' id='n1'><privilege xmlns='${NS}'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='${from}' id='foo' type='headline' to='${romeo.full}'><event xmlns='http://jabber.org/protocol/pubsub#event'><items node='tune'/></event></message></forwarded></privilege></message>`;
  for (const from of [juliet.bare, domain]) {
    await gateway.sends(wrapped(from));
    await romeo.receives(
      `<message from='${from}' to='${romeo.full}' id='foo' type='headline'><event xmlns='http://jabber.org/protocol/pubsub#event'><items node='tune'/></event></message>`,
    );
  }
  for (const from of [juliet.full, 'x@other.lit', `x@${GATEWAY}`, '']) {
    await gateway.sends(wrapped(from));
    await gateway.receives(
      `<message from='${domain}' type='error' id='n1'><error type='auth'><forbidden xmlns='${STANZAS}'/></error></message>`,
    );
  }
  await romeo.receivesNothing();
});

played('XEP-0356 §6.3: it asks in the name of an account, and gets the answer', ALL, async ({ romeo, juliet }, connect) => {
  await juliet.becomesAvailable();
  const gateway = await connect();
  gateway.takesAll();
  const ask = (inner: string, more = `type='get'`, to = juliet.bare): string =>
    `<iq from='${GATEWAY}' to='${to}' id='p1' ${more}><privileged_iq xmlns='${NS}'>${inner}</privileged_iq></iq>`;
  await gateway.sends(ask(`<iq xmlns='jabber:client' type='get' to='${romeo.full}' id='sub_1'><query xmlns='jabber:iq:version'/></iq>`));
  await romeo.receives(`<iq from='${juliet.bare}' type='get' id='{asked}'><query xmlns='jabber:iq:version'/></iq>`);
  await romeo.sends(`<iq to='${juliet.bare}' type='result' id='{asked}'><query xmlns='jabber:iq:version'><name>R</name></query></iq>`);
  await gateway.receives(`
    <iq from='${juliet.bare}' to='${GATEWAY}' type='result' id='p1'><privilege xmlns='${NS}'><forwarded xmlns='urn:xmpp:forward:0'>
      <iq xmlns='jabber:client' from='${romeo.full}' to='${juliet.bare}' type='result' id='sub_1'><query xmlns='jabber:iq:version'><name>R</name></query></iq>
    </forwarded></privilege></iq>`);
  // Nobody else can answer, and errors are answers.
  await gateway.sends(
    ask(`<iq xmlns='jabber:client' type='get' to='capulet.lit' from='${juliet.bare}' id='sub_2'><query xmlns='jabber:iq:version'/></iq>`),
  );
  await gateway.takes('the answer of the host', ({ attrs }) => attrs['id'] === 'p1' && attrs['type'] === 'result');
  for (const refused of [
    ask(`<iq xmlns='jabber:client' type='set' to='${romeo.full}' id='x'><query xmlns='jabber:iq:version'/></iq>`, `type='set'`),
    ask(`<iq xmlns='jabber:client' type='get' to='${romeo.full}' id='x'><query xmlns='jabber:iq:last'/></iq>`),
    ask(`<iq xmlns='jabber:client' type='get' to='${romeo.full}' id='x'><query xmlns='jabber:iq:version'/></iq>`, `type='set'`),
    ask(`<iq xmlns='jabber:client' type='get' from='${romeo.bare}' to='${romeo.full}' id='x'><query xmlns='jabber:iq:version'/></iq>`),
    ask(`<iq xmlns='${NS}' type='get' to='${romeo.full}' id='x'><query xmlns='jabber:iq:version'/></iq>`),
  ]) {
    await gateway.sends(refused);
    await gateway.receives(
      `<iq from='${juliet.bare}' type='error' id='p1'><error type='auth'><forbidden xmlns='${STANZAS}'/></error></iq>`,
    );
  }
  await romeo.receivesNothing();
});

played('XEP-0356 §7: presence of accounts and of their contacts, also what was said before it came', ALL, async (cast, connect) => {
  const { romeo } = cast;
  await romeo.becomesAvailable();
  const gateway = await connect();
  await gateway.receives(`<presence from='${romeo.full}' to='${GATEWAY}'/>`);
  await romeo.sends('<presence><show>away</show></presence>');
  await romeo.sync();
  assert.deepEqual(gateway.takesAll(), [], 'initial and unavailable presence only');
  await romeo.becomesUnavailable();
  await gateway.receives(`<presence from='${romeo.full}' to='${GATEWAY}' type='unavailable'/>`);
  await romeo.becomesAvailable();
  await gateway.receives(`<presence from='${romeo.full}' to='${GATEWAY}'/>`);
  await romeo.disconnects();
  await gateway.receives(`<presence from='${romeo.full}' to='${GATEWAY}' type='unavailable'/>`);
  assert.deepEqual(gateway.takesAll(), []);
});

played('a component without privileges has none', undefined, async ({ romeo, juliet, domain }, connect) => {
  await romeo.becomesAvailable();
  const gateway = await connect();
  await gateway.sends(`<iq from='${GATEWAY}' to='${romeo.bare}' type='get' id='g1'><query xmlns='jabber:iq:roster'/></iq>`);
  await gateway.receives(`<iq type='error' id='g1'><error type='cancel'><service-unavailable xmlns='${STANZAS}'/></error></iq>`);
  await gateway.sends(
    `<iq from='${GATEWAY}' to='${romeo.bare}' type='get' id='g2'><privileged_iq xmlns='${NS}'><iq xmlns='jabber:client' type='get' to='${juliet.full}' id='x'><query xmlns='jabber:iq:version'/></iq></privileged_iq></iq>`,
  );
  await gateway.receives(`<iq type='error' id='g2'><error type='auth'><forbidden xmlns='${STANZAS}'/></error></iq>`);
  await gateway.sends(
    `<message from='${GATEWAY}' to='${domain}' id='n1'><privilege xmlns='${NS}'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='${juliet.bare}' to='${romeo.full}'><body>x</body></message></forwarded></privilege></message>`,
  );
  await gateway.receives(`<message type='error' id='n1'><error type='auth'><forbidden xmlns='${STANZAS}'/></error></message>`);
  await romeo.receivesNothing();
});

transcript(
  'a client cannot use the privileges of a component',
  { modules: { privilege: { components: { [GATEWAY]: ALL } } } },
  async ({ romeo, juliet, domain }) => {
    await romeo.sends(`<iq to='${juliet.bare}' type='get' id='g1'><query xmlns='jabber:iq:roster'/></iq>`);
    await romeo.receives(`<iq type='error' id='g1'><error type='cancel'><service-unavailable xmlns='${STANZAS}'/></error></iq>`);
    await romeo.sends(
      `<message to='${domain}' id='n1'><privilege xmlns='${NS}'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='${juliet.bare}' to='${romeo.full}'><body>x</body></message></forwarded></privilege></message>`,
    );
    await romeo.receives(`<message type='error' id='n1'><error type='auth'><forbidden xmlns='${STANZAS}'/></error></message>`);
  },
);
