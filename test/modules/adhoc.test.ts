import assert from 'node:assert/strict';
import type { Client } from '../harness/cast.ts';
import { transcript } from '../harness/transcript.ts';
import { childElements, childOf } from '../harness/xml.ts';
import { ADMIN, COMMANDS, DATA, fieldsOf, fillsIn, goesOn, isRefused, notesOf } from './adhoc-scenes.ts';

const INFO = 'http://jabber.org/protocol/disco#info';
const ITEMS = 'http://jabber.org/protocol/disco#items';
const OURS = 'urn:rookery:commands';
/** One stage, and two. The first all servers have. */
const LIST = `${ADMIN}#change-user-password`;
const filled = (address: string) => ({ accountjid: address, password: 'soft what light' });
const BAN = `${OURS}#user-ban`;

/** Nodes in a list of commands. */
async function listed(client: Client): Promise<string[]> {
  await client.sends(`<iq type='get' id='list' to='${client.domain}'><query xmlns='${ITEMS}' node='${COMMANDS}'/></iq>`);
  const answer = await client.takes('the list', ({ attrs }) => attrs['id'] === 'list');
  return childElements(childOf(answer, 'query')!).map(({ attrs }) => attrs['node']!);
}

transcript('XEP-0050 §2.1: the server says that it has commands', async (cast) => {
  const { romeo } = cast;
  await romeo.sends(`<iq type='get' id='d1' to='${cast.domain}'><query xmlns='${INFO}'/></iq>`);
  await romeo.receives(`<iq type='result' id='d1'><query xmlns='${INFO}' match:rest='ignore'><feature var='${COMMANDS}'/></query></iq>`);
});

transcript('XEP-0050 §2.2: the list of commands is a node with an identity', async (cast) => {
  const { romeo } = cast;
  await romeo.sends(`<iq type='get' id='d1' to='${cast.domain}'><query xmlns='${INFO}' node='${COMMANDS}'/></iq>`);
  await romeo.receives(`
    <iq type='result' id='d1'>
      <query xmlns='${INFO}' node='${COMMANDS}' match:rest='ignore'><identity category='automation' type='command-list' name='{any}'/></query>
    </iq>`);
});

transcript('XEP-0050 §2.2: everybody is listed the commands he may run', { onlyOurs: 'its own commands' }, async ({ romeo, escalus }) => {
  const ofUser = await listed(romeo);
  const ofAdmin = await listed(escalus);
  for (const word of ['me-kick', 'me-passwd', 'me-sessions']) assert.ok(ofUser.includes(`${OURS}#${word}`), word);
  for (const node of ofUser) assert.ok(!node.startsWith(ADMIN), node);
  assert.ok(ofUser.every((node) => ofAdmin.includes(node)));
  assert.ok(ofAdmin.includes(LIST) && ofAdmin.includes('http://jabber.org/protocol/admin#add-user'));
  assert.equal(new Set(ofAdmin).size, ofAdmin.length, 'each node once');
});

transcript(
  'XEP-0050 §2.2: what a command is',
  { differs: { ejabberd: 'does not say that it has forms', prosody: 'answers item-not-found for items of a command' } },
  async (cast) => {
    const { romeo, escalus } = cast;
    await escalus.sends(`<iq type='get' id='d1' to='${cast.domain}'><query xmlns='${INFO}' node='${LIST}'/></iq>`);
    await escalus.receives(`
    <iq type='result' id='d1'>
      <query xmlns='${INFO}' node='${LIST}'>
        <identity category='automation' type='command-node' name='{any}'/>
        <feature var='${COMMANDS}'/>
        <feature var='${DATA}'/>
      </query>
    </iq>`);
    await escalus.sends(`<iq type='get' id='d2' to='${cast.domain}'><query xmlns='${ITEMS}' node='${LIST}'/></iq>`);
    await escalus.receives(`<iq type='result' id='d2'><query xmlns='${ITEMS}' node='${LIST}'/></iq>`);
    await romeo.sends(`<iq type='get' id='d1' to='${cast.domain}'><query xmlns='${INFO}' node='${LIST}'/></iq>`);
    await romeo.receives(
      `<iq type='error' id='d1'><error type='auth'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`,
    );
  },
);

transcript('XEP-0050 §2.4.1: a command without a form is done at once', { onlyOurs: 'its own command' }, async (cast) => {
  const { escalus } = cast;
  const { attrs, children } = await goesOn(escalus, { node: `${OURS}#me-sessions`, action: 'execute' });
  assert.equal(attrs['status'], 'completed');
  assert.ok(attrs['sessionid']);
  assert.equal(attrs['xml:lang'], 'en');
  const [x] = children;
  assert.ok(typeof x === 'object' && x.ns === DATA && x.attrs['type'] === 'result');
  assert.ok(childElements(x).some(({ name }) => name === 'reported') && childElements(x).some(({ name }) => name === 'item'));
  assert.equal(await isRefused(escalus, { node: `${OURS}#me-sessions`, session: attrs['sessionid'] }), 'not-allowed/session-expired');
});

transcript(
  'XEP-0050 §2.4.2: a form is shown and filled in; execute is what stands in actions',
  { differs: { prosody: 'offers next, too' } },
  async (cast) => {
    const { escalus } = cast;
    const nurse = cast.offline('nurse').bare;
    const form = await goesOn(escalus, { node: LIST });
    assert.equal(form.attrs['status'], 'executing');
    const actions = childOf(form, 'actions')!;
    assert.equal(actions.attrs['execute'], 'complete');
    assert.deepEqual(
      childElements(actions).map(({ name }) => name),
      ['complete'],
    );
    assert.deepEqual(fieldsOf(form), ['FORM_TYPE', 'accountjid', 'password']);
    const done = await goesOn(escalus, { node: LIST, session: form.attrs['sessionid']!, fields: filled(nurse) });
    assert.equal(done.attrs['status'], 'completed');
    assert.equal(done.attrs['sessionid'], form.attrs['sessionid']);
  },
);

transcript('XEP-0050 §2.4.2: two stages, forth and back', { onlyOurs: 'its own command' }, async ({ escalus, romeo }) => {
  await romeo.sync();
  const first = await goesOn(escalus, { node: BAN });
  const session = first.attrs['sessionid']!;
  assert.equal(childOf(first, 'actions')!.attrs['execute'], 'next');
  const second = await goesOn(escalus, { node: BAN, session, action: 'next', fields: { address: romeo.bare } });
  assert.deepEqual(
    childElements(childOf(second, 'actions')!).map(({ name }) => name),
    ['prev', 'complete'],
  );
  assert.ok(fieldsOf(second).includes('reason'));
  const again = await goesOn(escalus, { node: BAN, session, action: 'prev' });
  assert.ok(fieldsOf(again).includes('address'));
  await goesOn(escalus, { node: BAN, session, fields: { address: romeo.bare } });
  const done = await goesOn(escalus, { node: BAN, session, action: 'complete', fields: { reason: 'fights in the streets' } });
  assert.equal(done.attrs['status'], 'completed');
  assert.deepEqual(notesOf(done), [`info: ${romeo.bare} is banned.`]);
  await romeo.isClosedWith('not-authorized');
});

transcript('XEP-0050 §2.4.3: a command is canceled at any stage', { onlyOurs: 'its own command' }, async ({ escalus, romeo }) => {
  for (const stage of [0, 1]) {
    const session = (await goesOn(escalus, { node: BAN })).attrs['sessionid']!;
    if (stage === 1) await goesOn(escalus, { node: BAN, session, fields: { address: romeo.bare } });
    const end = await goesOn(escalus, { node: BAN, session, action: 'cancel' });
    assert.deepEqual([end.attrs['status'], end.children], ['canceled', []]);
    assert.equal(await isRefused(escalus, { node: BAN, session, action: 'cancel' }), 'not-allowed/session-expired');
  }
});

transcript('XEP-0050 §3.5.1: a form of type cancel is a submission like any other', async (cast) => {
  const { escalus } = cast;
  const nurse = cast.offline('nurse').bare;
  const session = (await goesOn(escalus, { node: LIST })).attrs['sessionid']!;
  const done = await goesOn(escalus, { node: LIST, session, fields: filled(nurse), form: 'cancel' });
  assert.equal(done.attrs['status'], 'completed');
});

transcript(
  'XEP-0050 §4.4: actions that are none, or not now',
  { differs: { ejabberd: 'says bad-request alone', prosody: 'takes any action' } },
  async ({ escalus, romeo }) => {
    assert.equal(await isRefused(escalus, { node: LIST, action: 'run' }), 'bad-request/malformed-action');
    for (const action of ['next', 'prev', 'complete', 'cancel'])
      assert.equal(await isRefused(escalus, { node: LIST, action }), 'bad-request/bad-action', action);
    const session = (await goesOn(escalus, { node: BAN })).attrs['sessionid']!;
    const fields = { address: romeo.bare };
    assert.equal(await isRefused(escalus, { node: BAN, session, action: 'prev' }), 'bad-request/bad-action');
    assert.equal(await isRefused(escalus, { node: BAN, session, action: 'complete', fields }), 'bad-request/bad-action');
    assert.equal(await isRefused(escalus, { node: BAN, session, action: 'sleep', fields }), 'bad-request/malformed-action');
    await goesOn(escalus, { node: BAN, session, fields }); // none of it has ended the session
    assert.equal(await isRefused(escalus, { node: BAN, session, action: 'next', fields: { reason: 'x' } }), 'bad-request/bad-action');
  },
);

transcript(
  'XEP-0050 §4.4: payloads that do not do, after which one may try again',
  { onlyOurs: 'its own command' },
  async ({ escalus, romeo }) => {
    const session = (await goesOn(escalus, { node: BAN })).attrs['sessionid']!;
    for (const fields of [undefined, {}, { address: 'not @n address' }, { address: [romeo.bare, 'other@capulet.lit'] }])
      assert.equal(
        await isRefused(escalus, { node: BAN, session, ...(fields && { fields }) }),
        'bad-request/bad-payload',
        JSON.stringify(fields),
      );
    assert.equal(await isRefused(escalus, { node: BAN, session, fields: { address: 'nobody@capulet.lit' } }), 'item-not-found');
    await goesOn(escalus, { node: BAN, session, fields: { address: romeo.bare } });
  },
);

transcript(
  'XEP-0050 §3.3, §4.4: a session is of one requester and one command',
  { differs: { ejabberd: 'answers item-not-found', prosody: 'answers service-unavailable' } },
  async (cast) => {
    const { escalus, romeo } = cast;
    const nurse = cast.offline('nurse').bare;
    const other = cast.client('clerk', { account: 'escalus', resource: 'office' });
    const session = (await goesOn(escalus, { node: LIST })).attrs['sessionid']!;
    assert.equal(await isRefused(escalus, { node: BAN, session, fields: {} }), 'bad-request/bad-sessionid');
    assert.equal(await isRefused(other, { node: LIST, session, fields: filled(nurse) }), 'bad-request/bad-sessionid');
    assert.equal(await isRefused(romeo, { node: `${OURS}#me-kick`, session, fields: {} }), 'bad-request/bad-sessionid');
    for (const made of ['x', 'x.y', '.', '', `${session}x`])
      assert.equal(await isRefused(escalus, { node: LIST, session: made, fields: filled(nurse) }), 'bad-request/bad-sessionid', made);
    assert.equal((await goesOn(escalus, { node: LIST, session, fields: filled(nurse) })).attrs['status'], 'completed');
  },
);

transcript(
  'XEP-0050 §3.3: a command waits for a time, and only so many',
  { modules: { adhoc: { timeout: '1m', sessions: 2 } } },
  async (cast) => {
    const { escalus } = cast;
    const nurse = cast.offline('nurse').bare;
    const begins = async () => (await goesOn(escalus, { node: LIST })).attrs['sessionid']!;
    const late = await begins();
    await cast.advance(61_000);
    assert.equal(await isRefused(escalus, { node: LIST, session: late, fields: filled(nurse) }), 'not-allowed/session-expired');
    const [oldest, second, third] = [await begins(), await begins(), await begins()];
    assert.equal(await isRefused(escalus, { node: LIST, session: oldest, fields: filled(nurse) }), 'not-allowed/session-expired');
    for (const session of [second, third]) await goesOn(escalus, { node: LIST, session, fields: filled(nurse) });
  },
);

transcript(
  'XEP-0050 §4.4: commands that are not there, or for others',
  { differs: { ejabberd: 'answers bad-request where no node is named', prosody: 'answers service-unavailable' } },
  async (cast) => {
    const { escalus, romeo } = cast;
    assert.equal(await isRefused(escalus, { node: 'urn:example:nothing' }), 'item-not-found');
    assert.equal(await isRefused(escalus, { node: 'toString' }), 'item-not-found');
    for (const node of [LIST, 'http://jabber.org/protocol/admin#add-user'])
      assert.equal(await isRefused(romeo, { node }), 'forbidden', node);
    await escalus.sends(`<iq type='set' id='c' to='${cast.domain}'><command xmlns='${COMMANDS}'/></iq>`);
    await escalus.receives(
      `<iq type='error' id='c'><error type='modify'><bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>{any}</error></iq>`,
    );
    await escalus.sends(`<iq type='get' id='c' to='${cast.domain}'><command xmlns='${COMMANDS}' node='${LIST}'/></iq>`);
    await escalus.receives(
      `<iq type='error' id='c'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`,
    );
  },
);

transcript('an admin of one host has its commands on that host, and no others', { config: { domains: ['capulet.lit'] } }, async (cast) => {
  const { juliet, romeo } = cast;
  await juliet.sync();
  await cast.memory.run('admin add', { host: 'capulet.lit', address: juliet.bare });
  const nodes = await listed(juliet);
  assert.ok(nodes.includes('http://jabber.org/protocol/admin#add-user') && !nodes.includes(`${OURS}#status`));
  assert.ok(!nodes.includes('http://jabber.org/protocol/admin#shutdown'), 'the service is more than one host');
  assert.equal((await fillsIn(juliet, LIST, filled(cast.offline('nurse').bare))).attrs['status'], 'completed');
  assert.equal(await isRefused(romeo, { node: LIST }), 'forbidden');
  await cast.memory.run('admin remove', { host: 'capulet.lit', address: juliet.bare });
  assert.equal(await isRefused(juliet, { node: LIST }), 'forbidden');
});

transcript('own commands: a password is changed, and what else is logged in ends', { onlyOurs: 'its own command' }, async (cast) => {
  const { escalus, romeo, phone } = cast;
  await phone.sync();
  const node = `${OURS}#me-passwd`;
  assert.equal(
    await isRefused(romeo, { node, session: (await goesOn(romeo, { node })).attrs['sessionid']!, fields: { password: 'short' } }),
    'bad-request/bad-payload',
  );
  const done = await fillsIn(romeo, node, { password: 'wherefore art thou' });
  assert.deepEqual(notesOf(done), ['info: Your password is changed.']);
  await phone.isClosedWith('not-authorized');
  await romeo.receivesNothing();
  await escalus.receivesNothing();
});

transcript(
  'own commands: other sessions are listed, chosen and ended; never those of others',
  { onlyOurs: 'its own command' },
  async ({ escalus, romeo, phone }) => {
    await phone.sync();
    await escalus.sync();
    const node = `${OURS}#me-kick`;
    const form = await goesOn(romeo, { node });
    const field = childElements(childOf(form, 'x', DATA)!).find(({ attrs }) => attrs['var'] === 'resources')!;
    assert.deepEqual(childElements(field).filter(({ name }) => name === 'option').length, 1, 'this session is not for choice');
    const session = form.attrs['sessionid']!;
    assert.equal(await isRefused(romeo, { node, session, fields: { resources: escalus.resource } }), 'bad-request/bad-payload');
    const done = await goesOn(romeo, { node, session, fields: { resources: phone.resource } });
    assert.deepEqual(notesOf(done), ['info: Ended 1 session.']);
    await phone.isClosedWith('policy-violation');
    await escalus.receivesNothing();
  },
);
