/** XEP-0379, XEP-0401, XEP-0445: invitations. */
import assert from 'node:assert/strict';
import type { CastOfClients, Client } from '../harness/cast.ts';
import type { StreamClient } from '../harness/stream-client.ts';
import { transcript } from '../harness/transcript.ts';
import { childElements, childOf, textOf, type XmlElement } from '../harness/xml.ts';
import { ADMIN, asks, goesOn, isRefused } from './adhoc-scenes.ts';

const PARS = 'urn:xmpp:pars:0';
const REGISTER = 'jabber:iq:register';
const STANZAS = 'urn:ietf:params:xml:ns:xmpp-stanzas';
const INVITE = 'urn:xmpp:invite#invite';
const CREATE = 'urn:xmpp:invite#create-account';
const OURS = { onlyOurs: 'made by commands of ours' } as const;
const ADMINS = { config: { admins: ['romeo@capulet.lit'] } } as const;
const DAY_MS = 86_400_000;

const tokenOf = (uri: string): string => /;preauth=([0-9a-f]{32})(?:;|$)/.exec(uri)![1]!;

async function invited(cast: CastOfClients, args: object = {}): Promise<{ uri: string; landingUrl?: string; token: string }> {
  await cast.ready();
  const made = (await cast.memory.run('invite create', { host: cast.domain, ...args })) as { uri: string; landingUrl?: string };
  return { ...made, token: tokenOf(made.uri) };
}

async function opened(cast: CastOfClients): Promise<StreamClient> {
  const client = await cast.raw();
  await client.beginsStream();
  return client;
}

const preauth = (token: string): string => `<iq type='set' id='pa1'><preauth xmlns='${PARS}' token='${token}'/></iq>`;
const register = (username: string, password = 'a long password'): string =>
  `<iq type='set' id='r1'><query xmlns='${REGISTER}'><username>${username}</username><password>${password}</password></query></iq>`;
const done = (id: string): string => `<iq type='result' id='${id}'/>`;
const refused = (id: string, type: string, condition: string): string =>
  `<iq type='error' id='${id}'><error type='${type}'><${condition} xmlns='${STANZAS}'/></error></iq>`;

/** Shows the token and registers. */
async function registers(cast: CastOfClients, token: string, username: string, answer = done('r1')): Promise<void> {
  const client = await opened(cast);
  await client.sends(preauth(token));
  await client.receives(done('pa1'));
  await client.sends(register(username));
  await client.receives(answer);
}

async function contactLink(client: Client): Promise<string> {
  const fields = fieldsOf(await goesOn(client, { node: INVITE }));
  return fields['uri']!;
}

function fieldsOf(command: XmlElement): Record<string, string> {
  const x = childOf(command, 'x', 'jabber:x:data')!;
  return Object.fromEntries(childElements(x).map((field) => [field.attrs['var'], textOf(childElements(field)[0]!)]));
}

// XEP-0445

transcript('XEP-0445 §3, §4: a guest makes an account though nobody else may', OURS, async (cast) => {
  const { uri, token } = await invited(cast);
  assert.equal(uri, `xmpp:capulet.lit?register;preauth=${token}`);
  const client = await cast.raw();
  assert.ok(childOf(await client.beginsStream(), 'register', 'urn:xmpp:ibr-token:0'));
  await client.sends(register('guest'));
  await client.receives(refused('r1', 'cancel', 'service-unavailable'));
  await client.sends(preauth(token));
  await client.receives(done('pa1'));
  await client.sends(`<iq type='get' id='g1'><query xmlns='${REGISTER}'/></iq>`);
  await client.receives(`<iq type='result' id='g1'><query xmlns='${REGISTER}'>{any}</query></iq>`);
  await client.sends(register('guest'));
  await client.receives(done('r1'));
  await client.sends(register('another'));
  await client.receives(refused('r1', 'cancel', 'service-unavailable')); // used up
  const account = await cast.raw();
  await account.logsIn({ local: 'guest', password: 'a long password' });
});

transcript('XEP-0445 §4: unknown, used and expired tokens are refused alike', OURS, async (cast) => {
  const { token: used } = await invited(cast);
  await registers(cast, used, 'guest');
  const { token: old } = await invited(cast, { days: 1 });
  await cast.advance(700 * DAY_MS);
  for (const token of ['', 'nothing', used, old]) {
    const client = await opened(cast);
    await client.sends(preauth(token));
    await client.receives(
      `<iq type='error' id='pa1'><error type='cancel'><item-not-found xmlns='${STANZAS}'/><text xmlns='${STANZAS}' xml:lang='en'>The provided token is invalid or expired</text></error></iq>`,
    );
  }
  const client = await opened(cast);
  await client.sends(`<iq type='set' id='pa1'><preauth xmlns='${PARS}'/></iq>`);
  await client.receives(refused('pa1', 'modify', 'bad-request'));
});

transcript('XEP-0445 §4: a token is not used before the registration has succeeded', OURS, async (cast) => {
  cast.offline('juliet');
  const { token } = await invited(cast);
  const client = await opened(cast);
  await client.sends(preauth(token));
  await client.receives(done('pa1'));
  for (const [username, password, type, condition] of [
    ['juliet', 'a long password', 'cancel', 'conflict'],
    ['guest', 'short', 'modify', 'not-acceptable'],
    ['admin', 'a long password', 'modify', 'not-acceptable'],
  ] as const) {
    await client.sends(register(username, password));
    await client.receives(refused('r1', type, condition));
  }
  await client.sends(register('guest'));
  await client.receives(done('r1'));
});

transcript('FAST/SM/invite tokens guessable: of two guests with one token one gets an account', OURS, async (cast) => {
  const { token } = await invited(cast);
  const clients = [await opened(cast), await opened(cast)];
  for (const client of clients) {
    await client.sends(preauth(token));
    await client.receives(done('pa1'));
  }
  clients.forEach((client, i) => client.write(register(`guest${i}`)));
  await cast.memory.settle();
  const answers: string[] = [];
  for (const client of clients) answers.push((await client.takes('an answer', () => true)).attrs['type']!);
  assert.deepEqual(answers.sort(), ['error', 'result']);
  const exists = await Promise.all([0, 1].map((i) => cast.memory.ask(`guest${i}`, { kind: 'get_status' }) as Promise<{ exists: boolean }>));
  assert.equal(exists.filter((each) => each.exists).length, 1);
});

transcript('FAST/SM/invite tokens guessable: the store has no token, only what it hashes to', OURS, async (cast) => {
  const { token } = await invited(cast);
  const table = { name: 'invite', version: 1, encode: () => Buffer.alloc(0), decode: (bytes: Uint8Array) => Buffer.from(bytes).toString() };
  const rows = await cast.memory.store.list(table, cast.domain);
  assert.equal(rows.length, 1);
  assert.ok(!JSON.stringify(rows).includes(token));
});

transcript(
  'XEP-0401 §7.2: a username that was chosen for the guest is kept for him',
  { config: { accounts: { registration: 'open' } } },
  async (cast) => {
    const { uri, token } = await invited(cast, { username: 'Admin' });
    assert.equal(uri, `xmpp:admin@capulet.lit?register;preauth=${token}`);
    const { token: other } = await invited(cast, { username: 'guest' });
    const stranger = await opened(cast);
    await stranger.sends(register('guest'));
    await stranger.receives(refused('r1', 'cancel', 'conflict'));
    await registers(cast, other, 'somebody', refused('r1', 'modify', 'not-acceptable'));
    const client = await opened(cast);
    await client.sends(preauth(token));
    await client.receives(done('pa1'));
    await client.sends(`<iq type='get' id='g1'><query xmlns='${REGISTER}'/></iq>`);
    const form = childOf(await client.receives(`<iq type='result' id='g1'>{any}</iq>`), 'query', REGISTER)!;
    assert.equal(textOf(childOf(form, 'username', REGISTER)!), 'admin');
    await client.sends(register('admin')); // reserved for others, but not for whom the operator invites
    await client.receives(done('r1'));
    await cast.memory.run('invite revoke', {
      host: cast.domain,
      id: ((await cast.memory.run('invite list', { host: cast.domain })) as { id: string }[])[0]!.id,
    });
    await stranger.sends(register('guest'));
    await stranger.receives(done('r1'));
  },
);

transcript('XEP-0401 §6.5: who has invited has the guest as a contact, at once', OURS, async (cast) => {
  const { romeo } = cast;
  await romeo.sends(`<iq type='get' id='ro'><query xmlns='jabber:iq:roster'/></iq>`);
  await romeo.receives(`<iq type='result' id='ro'>{any}</iq>`);
  await romeo.becomesAvailable();
  const { token } = await invited(cast, { contact: romeo.bare });
  await registers(cast, token, 'guest');
  await romeo.receives(
    `<iq type='set'><query xmlns='jabber:iq:roster' ver='{any}'><item jid='guest@capulet.lit' subscription='both'/></query></iq>`,
  );
  const guest = await cast.raw();
  await guest.logsIn({ local: 'guest', password: 'a long password' });
  const jid = await guest.binds('x');
  await guest.sends('<presence/>');
  await guest.receivesInAnyOrder(`<presence from='${jid}'/>`, `<presence from='${romeo.full}' match:rest='ignore'/>`);
  await romeo.receives(`<presence from='${jid}'/>`);
});

transcript('A link to set a new password: once, and all sessions end', OURS, async (cast) => {
  const { romeo } = cast;
  await romeo.sync();
  const { uri } = (await cast.memory.run('invite reset', { address: romeo.bare })) as { uri: string };
  const token = tokenOf(uri);
  assert.equal(uri, `xmpp:romeo@capulet.lit?register;preauth=${token}`);
  await registers(cast, token, 'juliet', refused('r1', 'modify', 'not-acceptable'));
  await registers(cast, token, 'romeo');
  await romeo.isClosedWith('not-authorized');
  const client = await cast.raw();
  await client.logsIn({ local: 'romeo', password: 'a long password' });
  const late = await opened(cast);
  await late.sends(preauth(token));
  await late.receives(refused('pa1', 'cancel', 'item-not-found'));
});

// XEP-0401: as clients ask for it

transcript('XEP-0401 §6.1: a user invites somebody to be a contact', OURS, async (cast) => {
  const { romeo } = cast;
  const command = await goesOn(romeo, { node: INVITE });
  assert.equal(command.attrs['status'], 'completed');
  const { FORM_TYPE, uri, expire, ...rest } = fieldsOf(command);
  assert.equal(FORM_TYPE, 'urn:xmpp:invite#invitation');
  assert.match(uri!, /^xmpp:romeo@capulet\.lit\?roster;preauth=[0-9a-f]{32}$/); // no ibr: XEP-0401 §6.1
  assert.match(expire!, /^\d{4}-/);
  assert.deepEqual(rest, {});
  const client = await opened(cast);
  await client.sends(preauth(tokenOf(`${uri};`)));
  await client.receives(refused('pa1', 'cancel', 'item-not-found'));
});

transcript(
  'XEP-0401 §6.1: and to make an account, where the operator lets users',
  { modules: { invites: { users: 'accounts', landing_url: 'https://capulet.lit/i/#{token}' } } },
  async (cast) => {
    const { romeo } = cast;
    const fields = fieldsOf(await goesOn(romeo, { node: INVITE }));
    assert.match(fields['uri']!, /;ibr=y$/);
    const token = tokenOf(fields['uri']!);
    assert.equal(fields['landing-url'], `https://capulet.lit/i/#${token}`);
    await registers(cast, token, 'guest');
    const { exists } = (await cast.memory.ask('guest', { kind: 'get_status' })) as { exists: boolean };
    assert.ok(exists);
  },
);

transcript(
  'XEP-0401: not where users may not, and not without end',
  { modules: { invites: { users: 'contacts', per_user: 2 } } },
  async (cast) => {
    const { romeo } = cast;
    for (let i = 0; i < 2; i++) await contactLink(romeo);
    assert.match(await isRefused(romeo, { node: INVITE }), /^bad-request/);
  },
);

transcript('XEP-0401: users may not invite at all', { modules: { invites: { users: 'off' } } }, async (cast) => {
  assert.equal(await isRefused(cast.romeo, { node: INVITE }), 'forbidden');
});

transcript('XEP-0401 §6.4: an admin has an account made; others may not', ADMINS, async (cast) => {
  const { romeo, juliet } = cast;
  assert.equal(await isRefused(juliet, { node: CREATE }), 'forbidden');
  const form = await goesOn(romeo, { node: CREATE });
  const command = await goesOn(romeo, {
    node: CREATE,
    session: form.attrs['sessionid']!,
    fields: { FORM_TYPE: CREATE, username: 'guest', 'roster-subscription': '1' },
  });
  const { uri } = fieldsOf(command);
  await registers(cast, tokenOf(uri!), 'guest');
  await romeo.sends(`<iq type='get' id='ro'><query xmlns='jabber:iq:roster'/></iq>`);
  await romeo.receives(
    `<iq type='result' id='ro'><query xmlns='jabber:iq:roster' ver='{any}'><item jid='guest@capulet.lit' subscription='both'/></query></iq>`,
  );
  assert.ok((await asks(romeo, { node: `${ADMIN}#nothing` })).attrs['type'] === 'error');
});

// XEP-0379

transcript('XEP-0379 §3.5: a request with a token is granted and returned, once', OURS, async (cast) => {
  const { romeo, juliet, tybalt } = cast;
  const token = tokenOf(`${await contactLink(romeo)};`);
  for (const client of [juliet, tybalt]) await client.becomesAvailable();
  await romeo.becomesAvailable();
  const subscribe = `<presence id='s1' to='${romeo.bare}' type='subscribe'><preauth xmlns='${PARS}' token='${token}'/></presence>`;
  await juliet.sends(subscribe);
  await juliet.receivesInAnyOrder(`<presence type='subscribe' from='${romeo.bare}'/>`, `<presence from='${romeo.full}'/>`);
  await romeo.receivesNothing(); // nobody had to be asked
  await tybalt.sends(subscribe);
  await tybalt.receivesNothing();
  await romeo.receives(`<presence type='subscribe' from='${tybalt.bare}'/>`); // used up: as without
});

transcript('XEP-0379 §4.1: a token that is not known is ignored, and so is one of somebody else', OURS, async (cast) => {
  const { romeo, juliet, nurse } = cast;
  const token = tokenOf(`${await contactLink(nurse)};`);
  await romeo.becomesAvailable();
  for (const each of ['nothing', token]) {
    await juliet.sends(`<presence to='${romeo.bare}' type='subscribe'><preauth xmlns='${PARS}' token='${each}'/></presence>`);
    await romeo.receives(`<presence type='subscribe' from='${juliet.bare}'/>`);
    await juliet.sends(`<presence to='${romeo.bare}' type='unsubscribe'/>`);
    await romeo.sends(`<presence to='${juliet.bare}' type='unsubscribed'/>`);
    await romeo.collects();
  }
});

transcript('XEP-0401: invitations are listed and taken back', OURS, async (cast) => {
  const { token } = await invited(cast, { username: 'guest' });
  const rows = (await cast.memory.run('invite list', { host: cast.domain })) as { id: string; username: string }[];
  assert.deepEqual(
    rows.map(({ username }) => username),
    ['guest'],
  );
  await assert.rejects(() => cast.memory.run('invite revoke', { host: cast.domain, id: 'zzzzzzzz' }) as Promise<unknown>);
  await cast.memory.run('invite revoke', { host: cast.domain, id: rows[0]!.id });
  assert.deepEqual(await cast.memory.run('invite list', { host: cast.domain }), []);
  const client = await opened(cast);
  await client.sends(preauth(token));
  await client.receives(refused('pa1', 'cancel', 'item-not-found'));
});

transcript('XEP-0401: whom there is nobody like cannot be invited for', OURS, async (cast) => {
  cast.offline('juliet');
  await cast.ready();
  const command = (name: string, args: object): Promise<unknown> => cast.memory.run(name, args) as Promise<unknown>;
  await assert.rejects(command('invite create', { host: cast.domain, username: 'juliet' }), { code: 'ERR_ACCOUNT_EXISTS' });
  await assert.rejects(command('invite create', { host: cast.domain, contact: 'nobody@capulet.lit' }), { code: 'ERR_NO_ACCOUNT' });
  await assert.rejects(command('invite create', { host: 'montague.lit' }), { code: 'ERR_HOST_UNKNOWN' });
  await assert.rejects(command('invite create', { host: cast.domain, username: 'a b' }), { code: 'ERR_ADDRESS' });
  await assert.rejects(command('invite reset', { address: 'nobody@capulet.lit' }), { code: 'ERR_NO_ACCOUNT' });
});
