import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CastOfClients, Client } from '../harness/cast.ts';
import { childOf, type XmlElement } from '../harness/xml.ts';
import { asksArchive, bodiesOf, MAM, queryXml, says, scene } from './archive-scenes.ts';
import { befriends } from './roster-scenes.ts';
import { LOG } from '../../src/log/entry.ts';
import { siftRows, type SiftJob } from '../../src/log/sift.ts';
import { sift } from '../../src/pool.ts';
import { sweepLogs } from '../../src/server/sweep.ts';
import archive from '../../src/modules/archive/index.ts';

const RSM = 'http://jabber.org/protocol/rsm';
const HINTS = 'urn:xmpp:hints';
const condition = (name: string, type: string) => `<error type='${type}'><${name} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`;
const hinted = (to: string, body: string, hint: string) =>
  `<message type='chat' to='${to}'><body>${body}</body><${hint} xmlns='${HINTS}'/></message>`;

scene('XEP-0313 §4: results come as messages in order, then the end; both sides of a conversation have them', async (cast) => {
  const { romeo, juliet } = cast;
  await romeo.sends(`<message type='chat' id='m1' to='${juliet.bare}'><body>Call me but love</body></message>`);
  await romeo.sync();
  await juliet.becomesAvailable();
  await juliet.collects();
  await juliet.sends(`<message type='chat' id='m2' to='${romeo.full}'><body>What man art thou</body></message>`);
  await romeo.becomesAvailable();
  await romeo.collects();
  for (const client of [juliet, romeo]) {
    await client.sends(`<iq type='set' id='juliet1'><query xmlns='${MAM}' queryid='f27'/></iq>`);
    const result = (capture: string, message: string) => `
      <message from='${client.bare}' to='${client.full}'>
        <result xmlns='${MAM}' queryid='f27' id='{${client.name}${capture}}'>
          <forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' from='${client.bare}' stamp='{stamp}'/>${message}</forwarded>
        </result>
      </message>`;
    await client.receives(
      result(
        '1',
        `<message xmlns='jabber:client' type='chat' id='m1' from='${romeo.full}' to='${juliet.bare}'><body>Call me but love</body></message>`,
      ),
    );
    await client.receives(
      result(
        '2',
        `<message xmlns='jabber:client' type='chat' id='m2' from='${juliet.full}' to='${romeo.full}'><body>What man art thou</body></message>`,
      ),
    );
    await client.receives(`
      <iq type='result' id='juliet1' from='${client.bare}'>
        <fin xmlns='${MAM}' complete='true'><set xmlns='${RSM}'>
          <first index='0'>{${client.name}1}</first><last>{${client.name}2}</last><count>2</count>
        </set></fin>
      </iq>`);
    await client.receivesNothing();
  }
});

scene('XEP-0313 §4: an archive with nothing in it', async ({ juliet }) => {
  await juliet.sends(`<iq type='set' id='q1' to='${juliet.bare}'><query xmlns='${MAM}'/></iq>`);
  await juliet.receives(
    `<iq type='result' id='q1' from='${juliet.bare}'><fin xmlns='${MAM}' complete='true'><set xmlns='${RSM}'><count>0</count></set></fin></iq>`,
  );
  await juliet.sends(`<iq type='get' id='q2'><metadata xmlns='${MAM}'/></iq>`);
  await juliet.receives(`<iq type='result' id='q2'><metadata xmlns='${MAM}'/></iq>`);
});

scene('XEP-0359 §3.1, XEP-0313 §3.4: who receives a message is told its id in the archive; forged ones are gone', async (cast) => {
  const { romeo, juliet } = cast;
  await juliet.becomesAvailable();
  const forged = `<stanza-id xmlns='urn:xmpp:sid:0' id='forged' by='${juliet.bare}'/>`;
  const foreign = `<stanza-id xmlns='urn:xmpp:sid:0' id='theirs' by='room@conference.montague.lit'/><origin-id xmlns='urn:xmpp:sid:0' id='o1'/>`;
  await romeo.sends(`<message type='chat' to='${juliet.bare}'><body>Hist!</body>${forged}${foreign}</message>`);
  await juliet.receives(
    `<message type='chat' from='${romeo.full}'><body>Hist!</body>${foreign}<stanza-id xmlns='urn:xmpp:sid:0' id='{mine}' by='${juliet.bare}'/></message>`,
  );
  const { results } = await asksArchive(juliet);
  assert.deepEqual(
    results.map(({ id }) => id),
    [cast.captured.get('mine')],
  );
  assert.equal(
    results[0]!.message.children.some((child) => typeof child !== 'string' && child.attrs['id'] === 'forged'),
    false,
  );
});

async function sixMessages({ romeo, juliet, nurse }: CastOfClients): Promise<void> {
  await juliet.becomesAvailable();
  await says(romeo, juliet.bare, 'r1');
  await says(nurse, juliet.bare, 'n1');
  await says(juliet, romeo.bare, 'j1');
  await says(juliet, nurse.full, 'j2');
  await says(romeo, juliet.full, 'r2');
  await says(juliet, juliet.bare, 'note');
  await juliet.collects();
}

scene('XEP-0313 §4.1.1: with a bare JID, a full one, and the own one for notes to oneself', async (cast) => {
  const { romeo, juliet, nurse } = cast;
  await sixMessages(cast);
  const cases: [string, string[]][] = [
    [romeo.bare, ['r1', 'j1', 'r2']],
    [nurse.bare, ['n1', 'j2']],
    [romeo.full, ['r1', 'r2']],
    [nurse.full, ['n1', 'j2']],
    [`${nurse.bare}/elsewhere`, []],
    ['nobody@capulet.lit', []],
    [juliet.bare, ['note']],
    [juliet.full, ['j1', 'j2', 'r2', 'note']],
    [romeo.bare.toUpperCase(), ['r1', 'j1', 'r2']],
  ];
  for (const [jid, bodies] of cases) {
    const answer = await asksArchive(juliet, { form: { with: jid } });
    assert.deepEqual(bodiesOf(answer), bodies, jid);
    assert.equal(answer.isComplete, true);
    assert.equal(answer.count, String(bodies.length));
  }
});

scene('XEP-0313 §4.1.2: start and end, both inclusive', { onlyOurs: 'needs its clock' }, async (cast) => {
  const { romeo, juliet } = cast;
  await juliet.becomesAvailable();
  for (const body of ['0', '1', '2', '3']) {
    await says(romeo, juliet.bare, body);
    await cast.advance(60_000);
  }
  await juliet.collects();
  const at = (minute: number, second = '00.000Z') => `2025-06-01T12:0${minute}:${second}`;
  const cases: [Record<string, string>, string[]][] = [
    [{ start: at(1) }, ['1', '2', '3']],
    [{ end: at(1) }, ['0', '1']],
    [{ start: at(1), end: at(2) }, ['1', '2']],
    [{ start: at(1, '00.0005Z') }, ['2', '3']],
    [{ end: at(1, '00.0005Z') }, ['0', '1']],
    [{ start: '2025-06-01T14:02:00+02:00' }, ['2', '3']],
    [{ start: at(2), end: at(1) }, []],
    [{ start: '2030-01-01T00:00:00Z' }, []],
    [{ start: '', end: '' }, ['0', '1', '2', '3']],
  ];
  for (const [form, bodies] of cases) {
    const answer = await asksArchive(juliet, { form });
    assert.deepEqual(bodiesOf(answer), bodies, JSON.stringify(form));
    assert.equal(answer.isComplete, true);
  }
  assert.equal((await asksArchive(juliet)).results[2]!.stamp, at(2));
});

scene('XEP-0313 §4.1.3: before-id, after-id and ids; one that is not there is item-not-found', async (cast) => {
  const { juliet } = cast;
  await sixMessages(cast);
  const { results } = await asksArchive(juliet);
  const [r1, n1, j1, j2, r2] = results.map(({ id }) => id) as [string, string, string, string, string];
  const cases: [Record<string, string | string[]>, string[]][] = [
    [{ 'after-id': n1 }, ['j1', 'j2', 'r2', 'note']],
    [{ 'before-id': j1 }, ['r1', 'n1']],
    [{ 'after-id': r1, 'before-id': r2 }, ['n1', 'j1', 'j2']],
    [{ ids: [j2, r1] }, ['r1', 'j2']],
    [{ ids: [j2, j2] }, ['j2']],
    [{ ids: [j2, r1], with: cast.romeo.bare }, ['r1']],
  ];
  for (const [form, bodies] of cases) assert.deepEqual(bodiesOf(await asksArchive(juliet, { form })), bodies, JSON.stringify(form));
  for (const form of [{ 'after-id': 'nothing' }, { 'before-id': 'nothing' }, { ids: [r1, 'nothing'] }]) {
    const answer = await asksArchive(juliet, { form });
    assert.equal(answer.error, 'item-not-found');
    assert.deepEqual(answer.results, []);
  }
});

scene('XEP-0313 §4.3, XEP-0059 §2: pages either way, their ids, their end', async (cast) => {
  const { juliet } = cast;
  await sixMessages(cast);
  const first = await asksArchive(juliet, { set: '<max>2</max>' });
  assert.deepEqual([bodiesOf(first), first.isComplete, first.index, first.count], [['r1', 'n1'], false, '0', '6']);
  assert.deepEqual([first.first, first.last], [first.results[0]!.id, first.results[1]!.id]);
  const second = await asksArchive(juliet, { set: `<max>3</max><after>${first.last}</after>` });
  assert.deepEqual([bodiesOf(second), second.isComplete], [['j1', 'j2', 'r2'], false]);
  const third = await asksArchive(juliet, { set: `<max>3</max><after>${second.last}</after>` });
  assert.deepEqual([bodiesOf(third), third.isComplete, third.index], [['note'], true, '5']);
  const behind = await asksArchive(juliet, { set: `<max>3</max><after>${third.last}</after>` });
  assert.deepEqual([bodiesOf(behind), behind.isComplete, behind.first], [[], true, undefined]);
  const last = await asksArchive(juliet, { set: '<max>2</max><before/>' }); // §4.3.3
  assert.deepEqual([bodiesOf(last), last.isComplete, last.index], [['r2', 'note'], false, '4']);
  const before = await asksArchive(juliet, { set: `<max>4</max><before>${last.first}</before>` });
  assert.deepEqual([bodiesOf(before), before.isComplete, before.index], [['r1', 'n1', 'j1', 'j2'], true, '0']);
  const count = await asksArchive(juliet, { set: '<max>0</max>', form: { with: cast.romeo.bare } }); // XEP-0059 §2.7
  assert.deepEqual([bodiesOf(count), count.count, count.isComplete], [[], '3', false]);
  for (const place of ['after', 'before']) {
    assert.equal((await asksArchive(juliet, { set: `<max>2</max><${place}>nothing</${place}>` })).error, 'item-not-found'); // §4.3.2
  }
  assert.equal((await asksArchive(juliet, { set: '<max>2</max><index>3</index>' })).error, 'feature-not-implemented'); // XEP-0059 §2.6
});

scene('XEP-0313 §4.3.4: a flipped page is the same page, sent backwards', async (cast) => {
  const { juliet } = cast;
  await sixMessages(cast);
  const plain = await asksArchive(juliet, { set: '<max>3</max><before/>' });
  const flipped = await asksArchive(juliet, { set: '<max>3</max><before/>', more: '<flip-page/>' });
  assert.deepEqual(bodiesOf(plain), ['j2', 'r2', 'note']);
  assert.deepEqual(bodiesOf(flipped), ['note', 'r2', 'j2']);
  assert.deepEqual([flipped.first, flipped.last], [plain.first, plain.last]);
});

scene('XEP-0313 §4.3.1: a page is no longer than the server allows', { modules: { archive: { page: 10 } } }, async (cast) => {
  const { romeo, juliet } = cast;
  await juliet.becomesAvailable();
  const bodies = Array.from({ length: 23 }, (_, i) => String(i));
  await says(romeo, juliet.bare, ...bodies);
  await juliet.collects();
  const seen: string[] = [];
  for (let set = ''; ;) {
    const answer = await asksArchive(juliet, { set });
    assert.ok(answer.results.length <= 10);
    seen.push(...bodiesOf(answer));
    if (answer.isComplete) break;
    set = `<max>1000</max><after>${answer.last}</after>`;
  }
  assert.deepEqual(seen, bodies);
});

scene(
  'XEP-0313 §4.3.1: nor larger than a quarter of what a connection may have unsent',
  { config: { limits: { outboundBytes: 65_536 }, stanza: { beforeLogin: { maxBytes: 10_000 }, afterLogin: { maxBytes: 10_000 } } } },
  async (cast) => {
    const { romeo, juliet } = cast;
    await juliet.becomesAvailable();
    const bodies = Array.from({ length: 8 }, (_, i) => String(i).repeat(6_000));
    await says(romeo, juliet.bare, ...bodies);
    await juliet.collects();
    const answer = await asksArchive(juliet);
    assert.deepEqual([bodiesOf(answer), answer.isComplete], [bodies.slice(0, 2), false]);
    const last = await asksArchive(juliet, { set: '<before/>' });
    assert.deepEqual([bodiesOf(last), last.isComplete], [bodies.slice(6), false]);
  },
);

scene('XEP-0313 §4.1.5: the form', async ({ juliet }) => {
  await juliet.sends(`<iq type='get' id='form1'><query xmlns='${MAM}'/></iq>`);
  await juliet.receives(
    `
    <iq type='result' id='form1'><query xmlns='${MAM}'><x xmlns='jabber:x:data' type='form'>
      <field type='hidden' var='FORM_TYPE'><value>${MAM}</value></field>
      <field type='jid-single' var='with'/>
      <field type='text-single' var='start'/>
      <field type='text-single' var='end'/>
      <field type='text-single' var='before-id'/>
      <field type='text-single' var='after-id'/>
      <field type='list-multi' var='ids'><validate xmlns='http://jabber.org/protocol/xdata-validate' datatype='xs:string'><open/></validate></field>
      <field type='boolean' var='include-groupchat'/>
      <field type='text-single' var='{urn:xmpp:fulltext:0}fulltext'/>
    </x></query></iq>`.replace('{urn:xmpp:fulltext:0}', '{any}'),
  );
});

scene('XEP-0313 §4.1: queries that are not understood are refused, each with its condition', async (cast) => {
  const { juliet } = cast;
  await says(juliet, juliet.bare, 'note');
  const form = (content: string, type = 'submit') => `<query xmlns='${MAM}'><x xmlns='jabber:x:data' type='${type}'>${content}</x></query>`;
  const TYPE = `<field var='FORM_TYPE' type='hidden'><value>${MAM}</value></field>`;
  const field = (name: string, ...values: string[]) =>
    `<field var='${name}'>${values.map((value) => `<value>${value}</value>`).join('')}</field>`;
  const cases: [string, string, string][] = [
    [form(TYPE + field('colour', 'blue')), 'feature-not-implemented', 'cancel'], // §4.1.5
    [form(TYPE + field('with', 'a@@b')), 'bad-request', 'modify'],
    [form(TYPE + field('with', 'a@b', 'c@d')), 'bad-request', 'modify'],
    [form(TYPE + field('start', 'yesterday')), 'bad-request', 'modify'],
    [form(TYPE + field('end', '2025-06-01')), 'bad-request', 'modify'],
    [form(TYPE + field('include-groupchat', 'perhaps')), 'bad-request', 'modify'],
    [form(TYPE + field('{urn:xmpp:fulltext:0}fulltext', 'x'.repeat(300))), 'bad-request', 'modify'],
    [form(field('with', 'a@b')), 'bad-request', 'modify'], // §4.1: FORM_TYPE MUST be there
    [form(`<field var='FORM_TYPE' type='hidden'><value>urn:example</value></field>`), 'bad-request', 'modify'],
    [form(TYPE + field('with', 'a@b') + field('with', 'a@b')), 'bad-request', 'modify'],
    [form(TYPE, 'form'), 'bad-request', 'modify'],
    [form(TYPE, 'cancel'), 'bad-request', 'modify'],
    [`<query xmlns='${MAM}'><set xmlns='${RSM}'><max>many</max></set></query>`, 'bad-request', 'modify'],
    [`<query xmlns='${MAM}' queryid='${'q'.repeat(300)}'/>`, 'bad-request', 'modify'],
    [`<query xmlns='${MAM}' node='urn:example'/>`, 'feature-not-implemented', 'cancel'],
  ];
  for (const [query, name, type] of cases) {
    await juliet.sends(`<iq type='set' id='q1'>${query}</iq>`);
    await juliet.receives(`<iq type='error' id='q1' from='${juliet.bare}'>${condition(name, type)}</iq>`);
  }
  assert.deepEqual(bodiesOf(await asksArchive(juliet, { form: { 'include-groupchat': 'true' } })), ['note']); // §4.1.4
});

scene('XEP-0313 §5: metadata tells the first and the last message', { onlyOurs: 'needs its clock' }, async (cast) => {
  const { romeo, juliet } = cast;
  for (const body of ['1', '2', '3']) {
    await says(romeo, juliet.bare, body);
    await cast.advance(1_000);
  }
  const { first, last } = await asksArchive(juliet);
  await juliet.sends(`<iq type='get' id='q2' to='${juliet.bare}'><metadata xmlns='${MAM}'/></iq>`);
  await juliet.receives(`
    <iq type='result' id='q2' from='${juliet.bare}'><metadata xmlns='${MAM}'>
      <start id='${first}' timestamp='2025-06-01T12:00:00.000Z'/><end id='${last}' timestamp='2025-06-01T12:00:02.000Z'/>
    </metadata></iq>`);
});

scene('XEP-0313 §8.1: nobody else may ask, whether the account exists or not', async (cast) => {
  const { romeo, juliet } = cast;
  await befriends(romeo, juliet);
  await says(juliet, juliet.bare, 'secret');
  for (const to of [juliet.bare, `nobody@${cast.domain}`]) {
    for (const [type, payload] of [
      ['set', `<query xmlns='${MAM}'/>`],
      ['get', `<query xmlns='${MAM}'/>`],
      ['get', `<metadata xmlns='${MAM}'/>`],
      ['get', `<prefs xmlns='${MAM}'/>`],
      ['set', `<prefs xmlns='${MAM}' default='never'/>`],
    ]) {
      await romeo.sends(`<iq type='${type}' id='q1' to='${to}'>${payload}</iq>`);
      await romeo.receives(`<iq type='error' id='q1' from='${to}'>${condition('forbidden', 'auth')}</iq>`);
    }
  }
  await romeo.receivesNothing();
});

scene('XEP-0313 §8.2: results of an archive that was not asked do not reach a client', async (cast) => {
  const { romeo, juliet, nurse } = cast;
  await juliet.becomesAvailable();
  const forged = (to: string, more = '') => `
    <message to='${to}'><result xmlns='${MAM}' id='x'><forwarded xmlns='urn:xmpp:forward:0'>
      <message xmlns='jabber:client' from='${nurse.bare}' to='${juliet.bare}'><body>forged</body></message>
    </forwarded></result>${more}</message>`;
  await romeo.sends(forged(juliet.full));
  await romeo.sends(forged(juliet.bare));
  await romeo.receivesNothing();
  await juliet.receivesNothing();
  await romeo.sends(forged(juliet.full, '<body>Look!</body>'));
  await juliet.receives(
    `<message from='${romeo.full}'><body>Look!</body><stanza-id xmlns='urn:xmpp:sid:0' id='{id}' by='${juliet.bare}'/></message>`,
  );
  // Who is asked may answer.
  await juliet.sends(`<iq type='set' id='q1' to='${romeo.full}'><query xmlns='${MAM}'/></iq>`);
  await romeo.receives(`<iq type='set' id='q1' from='${juliet.full}'><query xmlns='${MAM}'/></iq>`);
  await romeo.sends(forged(juliet.full));
  await juliet.receives(`<message from='${romeo.full}'><result xmlns='${MAM}' id='x'>{any}</result></message>`);
  await nurse.sends(forged(juliet.full));
  await juliet.receivesNothing();
  assert.deepEqual(bodiesOf(await asksArchive(juliet)), ['Look!']);
});

scene('XEP-0313 §6.1.1: what is archived: conversation of types chat and normal, and nothing that passes', async (cast) => {
  const { romeo, juliet } = cast;
  await juliet.becomesAvailable();
  const send = (type: string, content: string) => romeo.sends(`<message type='${type}' to='${juliet.full}'>${content}</message>`);
  await send('normal', '<body>normal</body>');
  await send('chat', '<body>chat</body>');
  await send('headline', '<body>headline</body>');
  await send('groupchat', '<body>groupchat</body>');
  await send('error', '<body>error</body>');
  await send('chat', `<composing xmlns='http://jabber.org/protocol/chatstates'/>`);
  await send('chat', `<active xmlns='http://jabber.org/protocol/chatstates'/><body>active</body>`);
  await send('normal', `<event xmlns='http://jabber.org/protocol/pubsub#event'/>`);
  await send('normal', '');
  await send('chat', `<thread>t1</thread>`);
  await send('chat', `<received xmlns='urn:xmpp:receipts' id='m1'/>`);
  await send('chat', `<encrypted xmlns='urn:example:e2e'/><store xmlns='${HINTS}'/>`);
  await send('chat', `<composing xmlns='http://jabber.org/protocol/chatstates'/><store xmlns='${HINTS}'/>`);
  await send('headline', `<body>stored headline</body><store xmlns='${HINTS}'/>`);
  await romeo.sync();
  await juliet.collects();
  const kinds = (await asksArchive(juliet)).results.map(
    ({ body, message }) => body || message.children.map((child) => (typeof child === 'string' ? '' : child.name)).join(' '),
  );
  assert.deepEqual(kinds, ['normal', 'chat', 'active', 'received', 'encrypted store', 'composing store']);
});

scene('XEP-0334 §4: no-permanent-store and no-store keep a message out of the archives of both', async (cast) => {
  const { romeo, juliet } = cast;
  await juliet.becomesAvailable();
  await romeo.sends(hinted(juliet.bare, 'Burn this', 'no-permanent-store'));
  await juliet.receives(hinted(juliet.bare, 'Burn this', 'no-permanent-store').replace('<message', `<message from='${romeo.full}'`));
  await romeo.sends(hinted(juliet.bare, 'Forget this', 'no-store'));
  await juliet.receives(hinted(juliet.bare, 'Forget this', 'no-store').replace('<message', `<message from='${romeo.full}'`));
  await says(romeo, juliet.bare, 'Keep this');
  await juliet.collects();
  assert.deepEqual(bodiesOf(await asksArchive(juliet)), ['Keep this']);
  assert.deepEqual(bodiesOf(await asksArchive(romeo)), ['Keep this']);
});

scene('XEP-0313 §6.1.1: a message several resources got is there once; so is one to oneself', async (cast) => {
  const { romeo, juliet } = cast;
  await juliet.becomesAvailable();
  const phone = cast.client('phone', { account: 'juliet' });
  await phone.becomesAvailable();
  await says(romeo, juliet.bare, 'to all');
  await says(juliet, juliet.bare, 'to myself');
  await juliet.collects();
  assert.deepEqual(bodiesOf(await asksArchive(juliet)), ['to all', 'to myself']);
});

scene('XEP-0313 §6.1.1: what waited while nobody was there is in the archive, too, and what nobody could be given is not', async (cast) => {
  const { romeo } = cast;
  const juliet = cast.offline('juliet');
  await says(romeo, juliet.bare, 'kept');
  await romeo.sends(`<message type='normal' to='${juliet.bare}/nowhere'><body>lost</body></message>`);
  await romeo.collects();
  await juliet.connects();
  assert.deepEqual(bodiesOf(await asksArchive(juliet)), ['kept']);
});

scene('XEP-0313 §3: the archive outlives the server', { onlyOurs: 'restarts it' }, async (cast) => {
  await sixMessages(cast);
  const before = await asksArchive(cast.juliet);
  const { juliet } = await cast.restarted();
  const after = await asksArchive(juliet);
  assert.deepEqual(
    after.results.map(({ id, body, stamp }) => [id, body, stamp]),
    before.results.map(({ id, body, stamp }) => [id, body, stamp]),
  );
});

scene('XEP-0313 §3, XEP-0359 §7: ids name neither a place nor a time, and none of an account that is gone', async (cast) => {
  const { romeo, juliet } = cast;
  const id = async (): Promise<string> => {
    await says(romeo, juliet.bare, 'one', 'two');
    const { results } = await asksArchive(juliet);
    const [first, second] = results.map((each) => each.id);
    for (const each of [first!, second!]) assert.match(each, /^[A-Za-z0-9_-]{22}$/);
    const same = [...first!].filter((letter, i) => letter === second![i]).length;
    assert.ok(same < 10, `${first} and ${second}`); // one in 64 by chance
    return first!;
  };
  const before = await id();
  await juliet.disconnects();
  const { memory } = cast;
  await memory.removeAccount(juliet.local, '');
  await memory.createAccount(juliet.local, cast.passwordOf(juliet.account));
  await juliet.connects();
  assert.equal((await asksArchive(juliet, { set: `<after>${before}</after>` })).error, 'item-not-found');
  assert.notEqual(await id(), before); // although it is the first message again, of the same time
  assert.equal((await asksArchive(juliet, { set: `<after>${before}</after>` })).error, 'item-not-found');
});

const prefs = (behaviour: string, always: readonly string[] = [], never: readonly string[] = []) => {
  const list = (name: string, jids: readonly string[]) => `<${name}>${jids.map((jid) => `<jid>${jid}</jid>`).join('')}</${name}>`;
  return `<prefs xmlns='${MAM}' default='${behaviour}'>${list('always', always)}${list('never', never)}</prefs>`;
};

async function wants(client: Client, ...choice: Parameters<typeof prefs>): Promise<void> {
  await client.sends(`<iq type='set' id='p1'>${prefs(...choice)}</iq>`);
  await client.receives(`<iq type='result' id='p1'>${prefs(...choice)}</iq>`);
}

scene('XEP-0441 §2.1: preferences are told, changed and kept', async (cast) => {
  const { juliet } = cast;
  await juliet.sends(`<iq type='get' id='p1'><prefs xmlns='${MAM}'/></iq>`);
  await juliet.receives(`<iq type='result' id='p1'>${prefs('always')}</iq>`);
  await wants(juliet, 'roster', ['romeo@montague.lit', 'nurse@capulet.lit/Kitchen'], ['montague@montague.lit']);
  await juliet.sends(`<iq type='set' id='p1'><prefs xmlns='${MAM}' default='never'/></iq>`); // §2.1.2, §2.1.3: missing lists are empty
  await juliet.receives(`<iq type='result' id='p1'>${prefs('never')}</iq>`);
  await wants(juliet, 'roster', ['romeo@montague.lit']);
  const restarted = (await cast.restarted()).juliet;
  await restarted.sends(`<iq type='get' id='p2'><prefs xmlns='${MAM}'/></iq>`);
  await restarted.receives(`<iq type='result' id='p2'>${prefs('roster', ['romeo@montague.lit'])}</iq>`);
});

scene('XEP-0441 §2.1: preferences that are none', async ({ juliet }) => {
  const cases: [string, string][] = [
    [`<prefs xmlns='${MAM}'/>`, 'bad-request'],
    [`<prefs xmlns='${MAM}' default='sometimes'/>`, 'bad-request'],
    [`<prefs xmlns='${MAM}' default='always'><never><jid>a@@b</jid></never></prefs>`, 'jid-malformed'],
    [
      prefs(
        'always',
        Array.from({ length: 1_001 }, (_, i) => `u${i}@b`),
      ),
      'not-acceptable',
    ],
  ];
  for (const [payload, name] of cases) {
    await juliet.sends(`<iq type='set' id='p1'>${payload}</iq>`);
    await juliet.receives(`<iq type='error' id='p1'>${condition(name, 'modify')}</iq>`);
  }
  await juliet.sends(`<iq type='get' id='p2'><prefs xmlns='${MAM}'/></iq>`);
  await juliet.receives(`<iq type='result' id='p2'>${prefs('always')}</iq>`);
});

scene('XEP-0441 §2.1.1, §2.2: always, never, the roster, and lists that are more exact', async (cast) => {
  const { romeo, juliet, nurse } = cast;
  await befriends(nurse, juliet);
  await juliet.becomesAvailable();
  await juliet.collects();
  const exchange = async (text: string) => {
    for (const other of [romeo, nurse]) {
      await says(other, juliet.bare, `${text} from ${other.name}`);
      await says(juliet, other.full, `${text} to ${other.name}`);
    }
    await juliet.collects();
  };
  await wants(juliet, 'never');
  await exchange('never');
  await wants(juliet, 'roster');
  await exchange('roster');
  await wants(juliet, 'never', [romeo.bare]);
  await exchange('only romeo');
  await wants(juliet, 'always', [], [romeo.bare]);
  await exchange('not romeo');
  await wants(juliet, 'never', [romeo.full], [romeo.bare]);
  await exchange('his resource');
  await wants(juliet, 'always', [`${nurse.bare}/elsewhere`], [nurse.full]);
  await exchange('her resource');
  assert.deepEqual(bodiesOf(await asksArchive(juliet)), [
    'roster from nurse',
    'roster to nurse',
    'only romeo from romeo',
    'only romeo to romeo',
    'not romeo from nurse',
    'not romeo to nurse',
    'his resource from romeo',
    'his resource to romeo',
    'her resource from romeo',
    'her resource to romeo',
  ]);
});

scene('XEP-0441 §2.1.1: the operator chooses the default', { modules: { archive: { default: 'never' } } }, async ({ romeo, juliet }) => {
  await juliet.sends(`<iq type='get' id='p1'><prefs xmlns='${MAM}'/></iq>`);
  await juliet.receives(`<iq type='result' id='p1'>${prefs('never')}</iq>`);
  await says(romeo, juliet.bare, 'unkept');
  assert.deepEqual(bodiesOf(await asksArchive(juliet)), []);
});

scene('XEP-0431 §3: search for words, together with all other filters and pages', async (cast) => {
  const { romeo, juliet, nurse } = cast;
  await juliet.becomesAvailable();
  await says(romeo, juliet.bare, 'But soft, what light', 'Lady, by yonder blessed moon', 'Light &amp; more LIGHTS');
  await says(nurse, juliet.bare, 'Lumière: líght', 'delight');
  await juliet.collects();
  const fulltext = '{urn:xmpp:fulltext:0}fulltext';
  const cases: [Record<string, string>, string[]][] = [
    [{ [fulltext]: 'light' }, ['But soft, what light', 'Light & more LIGHTS', 'Lumière: líght']],
    [{ [fulltext]: 'LIGHT more' }, ['Light & more LIGHTS']],
    [{ [fulltext]: 'lumiere' }, ['Lumière: líght']],
    [{ [fulltext]: 'light', with: romeo.bare }, ['But soft, what light', 'Light & more LIGHTS']],
    [{ [fulltext]: 'light', with: `${romeo.bare}/elsewhere` }, []],
    [{ [fulltext]: 'light', with: nurse.full }, ['Lumière: líght']],
    [{ [fulltext]: 'light', start: '2040-01-01T00:00:00Z' }, []],
    [{ [fulltext]: 'amp' }, []],
    [{ [fulltext]: '.*' }, []],
    [{ [fulltext]: '' }, ['But soft, what light', 'Lady, by yonder blessed moon', 'Light & more LIGHTS', 'Lumière: líght', 'delight']],
  ];
  for (const [form, bodies] of cases) assert.deepEqual(bodiesOf(await asksArchive(juliet, { form })), bodies, JSON.stringify(form));
  const form = { [fulltext]: 'light' };
  const last = await asksArchive(juliet, { form, set: '<max>2</max><before/>' });
  assert.deepEqual([bodiesOf(last), last.isComplete], [['Light & more LIGHTS', 'Lumière: líght'], false]);
  const rest = await asksArchive(juliet, { form, set: `<max>2</max><before>${last.first}</before>` });
  assert.deepEqual([bodiesOf(rest), rest.isComplete], [['But soft, what light'], true]);
});

/** The pool of the server in memory, with this for searches. */
function searchesBy(cast: CastOfClients, run: (job: SiftJob) => Promise<number[]>): void {
  const { services } = cast.memory.runtime.hosts.get(cast.domain)!;
  (services as { pool: unknown }).pool = { ...services.pool, sift: run };
}

scene('XEP-0431: words are sought in the pool; where that fails, the client is told to try again', async (cast) => {
  const { juliet } = cast;
  await says(juliet, juliet.bare, 'But soft', 'what light');
  let jobs = 0;
  searchesBy(cast, (job) => {
    jobs++;
    return sift(structuredClone(job));
  });
  const form = { '{urn:xmpp:fulltext:0}fulltext': 'light' };
  assert.deepEqual(bodiesOf(await asksArchive(juliet, { form })), ['what light']);
  assert.equal(jobs, 1);
  searchesBy(cast, async () => {
    throw new Error('Task queue is at limit');
  });
  assert.equal((await asksArchive(juliet, { form })).error, 'resource-constraint');
});

scene('XEP-0431: a few searches at a time, so that logins have their share of the pool', async (cast) => {
  const clients = ['juliet', 'romeo', 'nurse', 'tybalt', 'paris'].map((name) => cast.client(name));
  for (const each of clients) await says(each, each.bare, 'light');
  const held: (() => void)[] = [];
  searchesBy(cast, (job) => new Promise((resolve) => held.push(() => resolve(siftRows(job)))));
  const form = { '{urn:xmpp:fulltext:0}fulltext': 'light' };
  for (const each of clients.slice(0, 4)) await each.sends(`<iq type='set' id='q1'>${queryXml({ form })}</iq>`);
  assert.equal((await asksArchive(clients[4]!, { form })).error, 'resource-constraint');
  for (const release of held) release();
  for (const each of clients.slice(0, 4)) await each.takes('the end of the results', ({ attrs }) => attrs['id'] === 'q1');
  searchesBy(cast, async (job) => siftRows(job));
  assert.deepEqual(bodiesOf(await asksArchive(clients[4]!, { form })), ['light']);
});

scene('XEP-0313 §7, XEP-0431 §2.1, XEP-0359 §6: discovery of the account tells', async ({ juliet }) => {
  await juliet.sends(`<iq type='get' id='d1' to='${juliet.bare}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`);
  const feature = (name: string) => `<feature var='${name}'/>`;
  await juliet.receives(`
    <iq type='result' id='d1' from='${juliet.bare}'><query xmlns='http://jabber.org/protocol/disco#info' match:rest='ignore'>
      ${[MAM, `${MAM}#extended`, `${MAM}#groupchat-field`, 'urn:xmpp:sid:0', 'urn:xmpp:fulltext:0'].map(feature).join('')}
    </query></iq>`);
});

scene('many queries at once are answered one after the other, each with its results before its end', async (cast) => {
  const { romeo, juliet } = cast;
  await says(romeo, juliet.bare, '1', '2', '3');
  const count = 30;
  for (let i = 0; i < count; i++) await juliet.writes(`<iq type='set' id='q${i}'>${queryXml({ attrs: `queryid='q${i}'` })}</iq>`);
  const isLast = ({ name, attrs }: XmlElement) => name === 'iq' && attrs['id'] === `q${count - 1}`;
  const end = await juliet.takes('the end of the last one', isLast);
  const got = [...(await juliet.collects()), end].map((each) => childOf(each, 'result', MAM)?.attrs['queryid'] ?? each.attrs['id']);
  assert.deepEqual(got, Array.from({ length: count }, (_, i) => Array<string>(4).fill(`q${i}`)).flat());
});

scene('a session has so many queries waiting and no more', async (cast) => {
  const { juliet } = cast;
  assert.equal((await asksArchive(juliet)).count, '0');
  assert.deepEqual(cast.memory.crashes, []); // elsewhere the first ones are answered before the last is there
  for (let i = 0; i < 60; i++) await juliet.writes(`<iq type='set' id='f${i}'>${queryXml({ set: '<max>0</max>' })}</iq>`);
  const flood = await juliet.collects();
  assert.equal(flood.length, 60);
  const refused = flood.filter(({ attrs }) => attrs['type'] === 'error');
  assert.ok(refused.length > 0, 'not all of them can wait');
  const stanzas = 'urn:ietf:params:xml:ns:xmpp-stanzas';
  assert.ok(refused.every((each) => childOf(childOf(each, 'error')!, 'resource-constraint', stanzas) !== undefined));
});

const KEPT_FOR_A_DAY = { modules: { archive: { keep: '1d' } }, config: { c2s: { idleMs: 0 } } } as const;
const DAY_MS = 86_400_000;

test('keep is a duration or forever', () => {
  const keep = (value: unknown) => (archive.config!.parse({ keep: value }) as { readonly keep: number }).keep;
  assert.equal(keep(undefined), 365 * DAY_MS);
  assert.equal(keep('2w'), 14 * DAY_MS);
  assert.equal(keep('forever'), Infinity);
  for (const [value, why] of [
    ['always', /expected a duration with a unit .*, or 'forever'/],
    ['5m', /must be at least 1h/],
  ] as const)
    assert.throws(() => keep(value), why);
});
const numbered = (text: string, count: number) => Array.from({ length: count }, (_, i) => `${text} ${i}`);

scene('XEP-0313 §3.2: messages older than is kept go when a segment is full', KEPT_FOR_A_DAY, async (cast) => {
  const { romeo, juliet } = cast;
  await juliet.becomesAvailable();
  await says(romeo, juliet.bare, ...numbered('old', 256));
  const { first } = await asksArchive(juliet);
  await cast.advance(2 * DAY_MS);
  await says(romeo, juliet.bare, ...numbered('new', 256));
  await juliet.collects();
  const { results, count } = await asksArchive(juliet, { set: '<max>1</max>' });
  assert.deepEqual([results.map(({ body }) => body), count], [['new 0'], '256']);
  assert.equal((await asksArchive(juliet, { set: `<after>${first}</after>` })).error, 'item-not-found');
  const positions = (await cast.memory.store.list(LOG, juliet.bare)).map(({ value }) => value.position);
  assert.deepEqual([positions[0], positions.length], [257, 256]);
});

scene('XEP-0313 §3.2: and when the accounts are looked through, whether somebody loads them or not', KEPT_FOR_A_DAY, async (cast) => {
  const { romeo, juliet, nurse } = cast;
  await says(romeo, juliet.bare, 'waits'); // nobody is available
  await says(juliet, romeo.bare, 'waits, too');
  for (const each of [romeo, juliet]) await each.disconnects();
  await cast.advance(2 * DAY_MS);
  const { store, runtime, kernel, clock } = cast.memory;
  const sweep = async () => {
    const woken: string[] = [];
    const count = await sweepLogs({
      store,
      hostOf: (domain) => runtime.hosts.get(domain),
      wake: (bare) => {
        woken.push(bare);
        kernel.sendTo('account', bare, { kind: 'wake' });
      },
      nowMs: clock.now(),
    });
    assert.equal(count, woken.length);
    await cast.advance(0);
    return woken;
  };
  await nurse.sync();
  assert.deepEqual(await sweep(), [juliet.bare, romeo.bare]);
  assert.deepEqual(await sweep(), [], 'nothing is left to do');
  await juliet.connects();
  assert.deepEqual(bodiesOf(await asksArchive(juliet)), []);
  await juliet.becomesAvailable();
  assert.match(JSON.stringify(await juliet.collects()), /waits/); // it has waited, whatever its age
  await juliet.disconnects();
  await cast.advance(DAY_MS);
  assert.deepEqual(await sweep(), [juliet.bare]);
  assert.deepEqual(await store.list(LOG, juliet.bare), []);
});

scene('XEP-0313 §3.2: nothing is trimmed soon after a start', KEPT_FOR_A_DAY, async (cast) => {
  const { romeo, juliet } = cast;
  await says(romeo, juliet.bare, 'old');
  await juliet.becomesAvailable();
  await juliet.collects();
  await juliet.disconnects();
  await cast.advance(2 * DAY_MS);
  const { kernel, store, runtime } = cast.memory;
  const hosts = [...runtime.hosts.values()] as { startedAtMs: number }[];
  hosts[0]!.startedAtMs = cast.memory.clock.now() - 3_600_000 + 1;
  const wake = async () => {
    kernel.sendTo('account', juliet.bare, { kind: 'wake' });
    await cast.advance(1);
    return (await store.list(LOG, juliet.bare)).length;
  };
  assert.equal(await wake(), 1);
  assert.equal(await wake(), 0);
});

scene('a page comes behind messages that have waited, and is complete', async (cast) => {
  const { romeo } = cast;
  const juliet = cast.offline('juliet');
  const bodies = numbered('offline', 120);
  await says(romeo, juliet.bare, ...bodies);
  await juliet.connects();
  await juliet.writes(`<presence/>`);
  const answer = await asksArchive(juliet);
  assert.deepEqual(bodiesOf(answer), bodies);
});

scene('a client that goes while its query is under way leaves nothing behind', async (cast) => {
  const { romeo, juliet } = cast;
  await says(romeo, juliet.bare, ...numbered('message', 100));
  await juliet.writes(`<iq type='set' id='q1'>${queryXml({})}</iq><iq type='set' id='q2'>${queryXml({})}</iq>`);
  await juliet.drops();
  await cast.advance(0);
  await juliet.connects();
  assert.equal((await asksArchive(juliet)).results.length, 100);
  await juliet.receivesNothing();
});

scene('a client that reads nothing holds up only itself', { onlyOurs: 'needs its clock' }, async (cast) => {
  const { romeo, juliet } = cast;
  const phone = cast.client('phone', { account: 'juliet' });
  await says(romeo, juliet.bare, ...numbered('x'.repeat(3_000), 100));
  await Promise.all([juliet.sync(), phone.sync()]);
  juliet.stalls();
  for (let i = 0; i < 20; i++) await juliet.writes(`<iq type='set' id='q${i}'>${queryXml({})}</iq>`);
  await cast.advance(1_000);
  assert.equal((await asksArchive(phone)).results.length, 82); // a quarter of a mebibyte
  await cast.advance(120_000);
  assert.equal((await asksArchive(phone, { set: '<before/>' })).results.length, 82);
});

scene('XEP-0352 §5, XEP-0280 §6.1: results are not held back from a client nobody looks at, nor copied to others', async (cast) => {
  const { romeo, juliet } = cast;
  const phone = cast.client('phone', { account: 'juliet' });
  await phone.sends(`<iq type='set' id='c1'><enable xmlns='urn:xmpp:carbons:2'/></iq>`);
  await phone.receives(`<iq type='result' id='c1'/>`);
  await says(romeo, juliet.bare, '1', '2');
  await juliet.sends(`<inactive xmlns='urn:xmpp:csi:0'/>`);
  assert.deepEqual(bodiesOf(await asksArchive(juliet)), ['1', '2']);
  await phone.receivesNothing();
});

scene('XEP-0198 §4: results count like all stanzas', async (cast) => {
  const { romeo, juliet } = cast;
  await says(romeo, juliet.bare, '1', '2');
  await juliet.sends(`<enable xmlns='urn:xmpp:sm:3'/>`);
  await juliet.receives(`<enabled xmlns='urn:xmpp:sm:3' match:rest='ignore'/>`);
  assert.deepEqual(bodiesOf(await asksArchive(juliet)), ['1', '2']);
  await juliet.sends(`<r xmlns='urn:xmpp:sm:3'/>`);
  await juliet.takes('the count of what the client sent', ({ name }) => name === 'a');
  await juliet.sends(`<a xmlns='urn:xmpp:sm:3' h='4'/>`); // two results, the end, the answer to a ping of the harness
  await juliet.receivesNothing();
});
