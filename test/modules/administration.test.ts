import assert from 'node:assert/strict';
import { transcript } from '../harness/transcript.ts';
import { childElements, childOf, textOf } from '../harness/xml.ts';
import { ADMIN, asks, DATA, fieldsOf, fillsIn, fillsInVainly, goesOn, isRefused, notesOf, valuesOf } from './adhoc-scenes.ts';

const at = (word: string): string => `${ADMIN}#${word}`;

/** Every command of the XEP by its node, with the fields of its form; undefined: none is shown. */
const NODES: Readonly<Record<string, readonly string[] | undefined>> = {
  'add-user': ['accountjid', 'password', 'password-verify', 'email', 'given_name', 'surname'], // §4.1
  'delete-user': ['accountjids'],
  'disable-user': ['accountjids'],
  'reenable-user': ['accountjids'],
  'end-user-session': ['accountjids'],
  'change-user-password': ['accountjid', 'password'], // §4.7
  'get-user-roster': ['accountjids'],
  'get-user-lastlogin': ['accountjids'],
  'user-stats': ['accountjid'],
  'edit-blacklist': ['blacklistjids'], // §4.11
  'add-to-blacklist-in': ['blacklistjids'],
  'add-to-blacklist-out': ['blacklistjids'],
  'edit-whitelist': ['whitelistjids'],
  'add-to-whitelist-in': ['whitelistjids'],
  'add-to-whitelist-out': ['whitelistjids'],
  'get-registered-users-num': undefined, // §4.13
  'get-disabled-users-num': undefined,
  'get-online-users-num': undefined,
  'get-active-users-num': undefined,
  'get-idle-users-num': undefined,
  'get-registered-users-list': ['max_items'], // §4.18
  'get-disabled-users-list': ['max_items'],
  'get-online-users-list': ['max_items'],
  'get-active-users': ['max_items'],
  'get-idle-users': ['max_items'],
  announce: ['subject', 'announcement'], // §4.23
  'set-motd': ['subject', 'motd'],
  'edit-motd': ['subject', 'motd'],
  'delete-motd': undefined,
  'set-welcome': ['subject', 'welcome'],
  'delete-welcome': undefined,
  'edit-admin': ['adminjids'], // §4.29
  restart: ['delay', 'announcement'],
  shutdown: ['delay', 'announcement'],
};

transcript(
  'XEP-0133 §3, §4: every command is there for admins, with its form',
  { differs: { ejabberd: 'has neither all of them nor all fields', prosody: 'has neither all of them nor all fields' } },
  async (cast) => {
    const { escalus } = cast;
    await escalus.sends(
      `<iq type='get' id='l' to='${cast.domain}'><query xmlns='http://jabber.org/protocol/disco#items' node='http://jabber.org/protocol/commands'/></iq>`,
    );
    const answer = await escalus.takes('the list', ({ attrs }) => attrs['id'] === 'l');
    const listed = childElements(childOf(answer, 'query')!).map(({ attrs }) => attrs['node']!);
    for (const [word, fields] of Object.entries(NODES)) {
      assert.ok(listed.includes(at(word)), word);
      const command = await goesOn(escalus, { node: at(word) });
      assert.equal(command.attrs['status'], fields === undefined ? 'completed' : 'executing', word);
      if (fields === undefined) continue;
      assert.deepEqual(fieldsOf(command), ['FORM_TYPE', ...fields], word);
      assert.deepEqual(valuesOf(command, 'FORM_TYPE'), [ADMIN], word);
      await goesOn(escalus, { node: at(word), session: command.attrs['sessionid']!, action: 'cancel' });
    }
  },
);

transcript('XEP-0133 §6: none of them is for users', { differs: { prosody: 'has not all of them' } }, async ({ romeo }) => {
  for (const word of Object.keys(NODES)) {
    assert.equal(await isRefused(romeo, { node: at(word) }), 'forbidden', word);
    assert.equal(await isRefused(romeo, { node: at(word), session: 'x', fields: { accountjids: romeo.bare } }), 'forbidden', word);
  }
});

transcript(
  'XEP-0133 §4.1, §4.2: an account is made, with which one can log in, and removed',
  { differs: { ejabberd: 'answers item-not-found to passwords that differ', prosody: 'says in a note that an account exists' } },
  async (cast) => {
    const { escalus } = cast;
    const nurse = `nurse@${cast.domain}`;
    const fields = { accountjid: nurse, password: 'o lamentable day', 'password-verify': 'o lamentable day' };
    assert.equal((await fillsIn(escalus, at('add-user'), fields)).attrs['status'], 'completed');
    assert.equal(await fillsInVainly(escalus, at('add-user'), fields), 'conflict', '§5');
    for (const wrong of [
      { ...fields, accountjid: `x@${cast.domain}`, 'password-verify': 'another' },
      { ...fields, accountjid: `x@${cast.domain}/y` },
      { ...fields, accountjid: cast.domain },
      { accountjid: `x@${cast.domain}` },
    ])
      assert.equal(await fillsInVainly(escalus, at('add-user'), wrong), 'bad-request/bad-payload', JSON.stringify(wrong));
    assert.equal(await fillsInVainly(escalus, at('add-user'), { ...fields, accountjid: 'x@elsewhere.lit' }), 'item-not-found');
    assert.deepEqual(valuesOf(await goesOn(escalus, { node: at('get-registered-users-num') }), 'registeredusersnum'), ['2']);
    assert.equal((await fillsIn(escalus, at('delete-user'), { accountjids: nurse })).attrs['status'], 'completed');
    assert.equal(await fillsInVainly(escalus, at('delete-user'), { accountjids: nurse }), 'item-not-found');
  },
);

transcript(
  'XEP-0133 §4.2: of several accounts, what fails is told and the rest is done',
  { differs: { ejabberd: 'refuses all of it, and has done a part', prosody: 'says all in one note' } },
  async (cast) => {
    const { escalus, romeo } = cast;
    await romeo.sync();
    const done = await fillsIn(escalus, at('delete-user'), { accountjids: [romeo.bare, 'nobody@capulet.lit'] });
    assert.equal(done.attrs['status'], 'completed');
    assert.equal(notesOf(done).length, 1);
    assert.match(notesOf(done)[0]!, /^error: There is no account nobody@/); // XEP-0050 §3.6
    await romeo.isClosedWith('not-authorized');
  },
);

transcript(
  'XEP-0133 §4.3, §4.4: a disabled user is out, keeps all, and comes back',
  { differs: { ejabberd: 'has no such command', prosody: 'has no such command before 0.13' } },
  async (cast) => {
    const { escalus, romeo } = cast;
    await romeo.sync();
    await fillsIn(escalus, at('disable-user'), { accountjids: romeo.bare });
    await romeo.isClosedWith('not-authorized');
    await assert.rejects(romeo.connects());
    assert.deepEqual(valuesOf(await fillsIn(escalus, at('get-disabled-users-list'), {}), 'disableduserjids'), [romeo.bare]);
    assert.deepEqual(valuesOf(await goesOn(escalus, { node: at('get-disabled-users-num') }), 'disabledusersnum'), ['1']);
    await fillsIn(escalus, at('reenable-user'), { accountjids: romeo.bare });
    await romeo.connects();
    await romeo.sync();
  },
);

transcript(
  'XEP-0133 §4.5: one session ends, or all of an account',
  { differs: { ejabberd: 'asks for one address', prosody: 'ends the stream without saying why' } },
  async ({ escalus, romeo, phone }) => {
    await romeo.sync();
    await phone.sync();
    await fillsIn(escalus, at('end-user-session'), { accountjids: phone.full });
    await phone.isClosedWith('policy-violation');
    await romeo.receivesNothing();
    await fillsIn(escalus, at('end-user-session'), { accountjids: romeo.bare });
    await romeo.isClosedWith('policy-violation');
  },
);

transcript(
  'XEP-0133 §4.7: a password is set',
  { differs: { ejabberd: 'lets sessions live on', prosody: 'lets sessions live on' } },
  async ({ escalus, romeo }) => {
    await romeo.sync();
    await fillsIn(escalus, at('change-user-password'), { accountjid: romeo.bare, password: 'soft what light' });
    await romeo.isClosedWith('not-authorized');
    await assert.rejects(romeo.connects(), 'the old one is no good');
    assert.equal(
      await fillsInVainly(escalus, at('change-user-password'), { accountjid: 'no@capulet.lit', password: 'x' }),
      'item-not-found',
    );
  },
);

transcript(
  'XEP-0133 §4.8: a roster, as the owner sees it',
  { differs: { ejabberd: 'has no such command', prosody: 'shows the roster outside of the form' } },
  async ({ escalus, romeo }) => {
    await romeo.sends(
      `<iq type='set' id='r'><query xmlns='jabber:iq:roster'><item jid='${escalus.bare}' name='Juliet'><group>Lovers</group></item></query></iq>`,
    );
    await romeo.sync();
    const done = await fillsIn(escalus, at('get-user-roster'), { accountjids: romeo.bare });
    assert.deepEqual(valuesOf(done, 'accountjids'), [romeo.bare]);
    const query = childOf(childOf(done, 'x', DATA)!, 'query', 'jabber:iq:roster')!;
    const [item] = childElements(query);
    assert.deepEqual(item!.attrs, { jid: escalus.bare, name: 'Juliet', subscription: 'none' });
    assert.equal(textOf(childOf(item!, 'group')!), 'Lovers');
  },
);

transcript('XEP-0133 §4.9, §4.10: last login and statistics', async (cast) => {
  const { escalus, romeo } = cast;
  const atMs = cast.memory.clock.now();
  await romeo.becomesAvailable();
  await cast.advance(10_000);
  const login = await fillsIn(escalus, at('get-user-lastlogin'), { accountjids: romeo.bare });
  assert.equal(Date.parse(valuesOf(login, 'lastlogin')[0]!), atMs - (atMs % 1_000));
  const stats = await fillsIn(escalus, at('user-stats'), { accountjid: romeo.bare });
  assert.deepEqual(valuesOf(stats, 'onlineresources'), [romeo.resource]);
  assert.deepEqual(valuesOf(stats, 'rostersize'), ['0']);
  assert.equal(valuesOf(stats, 'ipaddresses').length, 1);
  assert.match(valuesOf(stats, 'stanzaspersecond')[0]!, /^0\.[1-9]\d?$/);
  assert.deepEqual(valuesOf(stats, 'loginsperminute'), ['1.00']);
  assert.equal(await fillsInVainly(escalus, at('user-stats'), { accountjid: 'nobody@capulet.lit' }), 'item-not-found');
});

transcript(
  'XEP-0133 §4.13 – §4.22: how many are registered, online, active, idle, and who',
  {
    differs: {
      rookery: 'has the accounts of other transcripts, too',
      ejabberd: 'has no commands about active and idle users',
      prosody: 'has only commands about users online',
    },
  },
  async (cast) => {
    const { escalus, romeo, benvolio } = cast;
    cast.offline('nurse');
    await escalus.becomesAvailable();
    await romeo.becomesAvailable();
    await romeo.sends('<presence><show>away</show></presence>');
    await benvolio.sync(); // connected only
    const number = async (state: string) => valuesOf(await goesOn(escalus, { node: at(`get-${state}-users-num`) }), `${state}usersnum`)[0];
    assert.deepEqual(
      [await number('registered'), await number('online'), await number('active'), await number('idle')],
      ['4', '3', '1', '2'],
    );
    const list = async (node: string, field: string, fields = {}) => valuesOf(await fillsIn(escalus, at(node), fields), field).toSorted();
    assert.deepEqual(await list('get-online-users-list', 'onlineuserjids'), [benvolio.bare, escalus.bare, romeo.bare]);
    assert.deepEqual(await list('get-active-users', 'activeuserjids'), [escalus.bare]);
    assert.deepEqual(await list('get-idle-users', 'idleuserjids', { max_items: '100' }), [benvolio.bare, romeo.bare]);
    assert.equal((await list('get-registered-users-list', 'registereduserjids', { max_items: 'none' })).length, 4);
    assert.equal(await fillsInVainly(escalus, at('get-idle-users'), { max_items: '7' }), 'bad-request/bad-payload');
  },
);

transcript(
  'XEP-0133 §4.11: nobody gets through to or from whom is on the blacklist',
  { differs: { ejabberd: 'has no such command', prosody: 'has no such command' } },
  async (cast) => {
    const { escalus, romeo, benvolio } = cast;
    await escalus.becomesAvailable();
    await romeo.becomesAvailable();
    await benvolio.becomesAvailable();
    await fillsIn(escalus, at('edit-blacklist'), { blacklistjids: [benvolio.bare, 'verona.lit'] });
    assert.deepEqual(valuesOf(await goesOn(escalus, { node: at('edit-blacklist') }), 'blacklistjids'), [benvolio.bare, 'verona.lit']);
    const REFUSED = `<error type='modify'><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>{any}</error>`;
    for (const to of [benvolio.bare, 'prince@verona.lit', 'verona.lit']) {
      await romeo.sends(`<message to='${to}' type='chat' id='m'><body>Part, fools!</body></message>`);
      await romeo.receives(`<message from='${to}' type='error' id='m'>${REFUSED}</message>`);
    }
    await benvolio.sends(`<iq to='${romeo.full}' type='get' id='q'><query xmlns='jabber:iq:version'/></iq>`);
    await benvolio.receives(`<iq from='${romeo.full}' type='error' id='q'>{any}</iq>`);
    await benvolio.sends(`<presence to='${romeo.bare}' type='subscribe'/>`);
    await romeo.receivesNothing();
    await romeo.sends(`<message to='${escalus.full}' type='chat'><body>Thee I may</body></message>`);
    await escalus.receives(`<message from='${romeo.full}' type='chat'><body>Thee I may</body></message>`);
    await fillsIn(escalus, at('edit-blacklist'), { blacklistjids: [] });
    await romeo.sends(`<message to='${benvolio.full}' type='chat'><body>At last</body></message>`);
    await benvolio.takes('the message', ({ name, attrs }) => name === 'message' && attrs['from'] === romeo.full);
  },
);

transcript(
  'XEP-0133 §4.11: one direction alone',
  { differs: { ejabberd: 'has no such command', prosody: 'has no such command' } },
  async (cast) => {
    const { escalus, romeo, benvolio } = cast;
    await escalus.becomesAvailable();
    await romeo.becomesAvailable();
    await benvolio.becomesAvailable();
    await fillsIn(escalus, at('add-to-blacklist-out'), { blacklistjids: [`${cast.domain}/x`, 'verona.lit'] });
    await fillsIn(escalus, at('add-to-blacklist-in'), { blacklistjids: [benvolio.full] });
    await romeo.sends(`<message to='${benvolio.full}' type='chat'><body>One way</body></message>`);
    await benvolio.receives(`<message from='${romeo.full}' type='chat'><body>One way</body></message>`);
    await benvolio.sends(`<message to='${romeo.full}' type='chat' id='m'><body>And back</body></message>`);
    await benvolio.receives(`<message from='${romeo.full}' type='error' id='m'>{any}</message>`);
  },
);

transcript(
  'XEP-0133 §4.12: with a whitelist, others of the world are out; this server’s own accounts are not',
  { differs: { ejabberd: 'has no such command', prosody: 'has no such command' } },
  async (cast) => {
    const { escalus, romeo } = cast;
    await escalus.becomesAvailable();
    await romeo.becomesAvailable();
    await fillsIn(escalus, at('edit-whitelist'), { whitelistjids: ['montague.lit'] });
    await romeo.sends(`<message to='prince@verona.lit' type='chat' id='m'><body>Part</body></message>`);
    await romeo.receives(
      `<message type='error' id='m'><error type='modify'><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>{any}</error></message>`,
    );
    await romeo.sends(`<message to='abram@montague.lit' type='chat' id='m'><body>Part</body></message>`);
    await romeo.receives(
      `<message type='error' id='m'><error type='cancel'><remote-server-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>{any}</error></message>`,
    );
    await romeo.sends(`<message to='${escalus.full}' type='chat'><body>Thee I may</body></message>`);
    await escalus.receives(`<message from='${romeo.full}' type='chat'><body>Thee I may</body></message>`);
  },
);

transcript(
  'XEP-0133 §4.29: admins are added and taken away, but for those of the configuration',
  { differs: { ejabberd: 'has no such command', prosody: 'has no such command' } },
  async ({ escalus, romeo }) => {
    await romeo.sync();
    const node = at('edit-admin');
    assert.deepEqual(valuesOf(await goesOn(escalus, { node }), 'adminjids'), [escalus.bare]);
    await fillsIn(escalus, node, { adminjids: [escalus.bare, romeo.bare] });
    assert.deepEqual(valuesOf(await goesOn(romeo, { node }), 'adminjids'), [escalus.bare, romeo.bare]);
    assert.equal((await asks(romeo, { node: at('get-online-users-num') })).attrs['type'], 'result');
    assert.equal(await isRefused(romeo, { node: at('shutdown') }), 'forbidden', 'an admin of this host alone');
    const done = await fillsIn(escalus, node, { adminjids: [] });
    assert.match(notesOf(done)[0]!, /^warn: escalus@.* stays/);
    assert.equal(await isRefused(romeo, { node }), 'forbidden');
  },
);

transcript(
  'XEP-0133 §4.30, §4.31: the service is restarted and shut down, after those online were told',
  { differs: { ejabberd: 'has only commands about the node', prosody: 'has no restart' } },
  async (cast) => {
    const { escalus, romeo } = cast;
    await romeo.becomesAvailable();
    await fillsIn(escalus, at('restart'), { delay: '120', announcement: ['Back in', 'two minutes'] });
    await romeo.receives(`<message type='headline' from='${cast.domain}' id='{any}'><body>Back in\ntwo minutes</body></message>`);
    await fillsIn(escalus, at('shutdown'), {});
    await romeo.receivesNothing();
    assert.deepEqual(cast.memory.stops, [
      { delayMs: 120_000, isRestart: true },
      { delayMs: 0, isRestart: false },
    ]);
    assert.equal(await fillsInVainly(escalus, at('shutdown'), { delay: '1' }), 'bad-request/bad-payload');
  },
);
