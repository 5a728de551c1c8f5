/** XEP-0494: what has access to an account. */
import assert from 'node:assert/strict';
import {
  fetchesToken,
  ONLY_OURS,
  opened,
  OTHER_CLIENT_ID,
  requestToken,
  succeeds,
  tokenIn,
  tries,
  userAgent,
  withPassword,
  withToken,
  BIND2,
} from '../c2s/sasl2-client.ts';
import type { Client } from '../harness/cast.ts';
import { transcript } from '../harness/transcript.ts';
import { childElements, childOf, textOf, type XmlElement } from '../harness/xml.ts';

const NS = 'urn:xmpp:cam:0';
const STANZAS = 'urn:ietf:params:xml:ns:xmpp-stanzas';
const bind = `<bind xmlns='${BIND2}'/>`;

async function list(client: Client): Promise<readonly XmlElement[]> {
  await client.sends(`<iq type='get' id='l1'><list xmlns='${NS}'/></iq>`);
  return childElements(
    childOf(await client.receives(`<iq type='result' id='l1'><clients xmlns='${NS}'>{any}</clients></iq>`), 'clients', NS)!,
  );
}

const methods = (client: XmlElement): string[] => childElements(childOf(client, 'auth', NS)!).map(({ name }) => name);
const revoke = (id: string): string => `<iq type='set' id='r1'><revoke xmlns='${NS}' id='${id}'/></iq>`;
const needsPassword = `<iq type='error' id='r1'><error type='cancel'>
  <service-unavailable xmlns='${STANZAS}'/><text xmlns='${STANZAS}' xml:lang='en'>{any}</text><password-reset-required xmlns='${NS}'/></error></iq>`;

transcript('XEP-0494 §3.1: clients that say which one they are, and sessions of those that do not', ONLY_OURS, async (cast) => {
  const { romeo } = cast;
  await romeo.sync();
  const online = await opened(cast);
  await online.sends(withPassword(cast, userAgent(), bind));
  await succeeds(online);
  await cast.advance(60_000);
  await fetchesToken(cast, undefined, OTHER_CLIENT_ID);
  const clients = await list(romeo);
  assert.equal(clients.length, 3);
  const [own, away] = [true, false].map((isConnected) =>
    clients.find(({ attrs, children }) => attrs['connected'] === String(isConnected) && JSON.stringify(children).includes('user-agent')),
  );
  assert.deepEqual([methods(own!), methods(away!)], [['password'], ['password', 'fast']]);
  const agent = childOf(own!, 'user-agent', NS)!;
  assert.deepEqual(childElements(agent).map(textOf), ['AwesomeXMPP', "Kiva's Phone"]);
  assert.equal(textOf(childOf(away!, 'first-seen', NS)!), '2025-06-01T12:01:00.000Z');
  assert.deepEqual(childOf(own!, 'permission', NS)!.attrs, { status: 'unrestricted' });
  const old = clients.find((client) => childOf(client, 'user-agent', NS) === undefined)!;
  assert.deepEqual([old.attrs['type'], old.attrs['connected'], methods(old)], ['session', 'true', ['password']]);
  assert.ok(!JSON.stringify(clients).includes(OTHER_CLIENT_ID));
});

transcript('XEP-0494 §3.2: who knows the password is not kept out', ONLY_OURS, async (cast) => {
  const { romeo } = cast;
  await romeo.sync();
  await fetchesToken(cast);
  for (const { attrs } of await list(romeo)) {
    await romeo.sends(revoke(attrs['id']!));
    await romeo.receives(needsPassword);
  }
  for (const id of ['nothing', 'session:1']) {
    await romeo.sends(revoke(id));
    await romeo.receives(`<iq type='error' id='r1'><error type='cancel'><item-not-found xmlns='${STANZAS}'/></error></iq>`);
  }
  await romeo.sends(`<iq type='set' id='r1'><revoke xmlns='${NS}'/></iq>`);
  await romeo.receives(`<iq type='error' id='r1'><error type='modify'><bad-request xmlns='${STANZAS}'/></error></iq>`);
});

transcript('XEP-0494 §3.2: a client with nothing but a token is: its token is void, its session over', ONLY_OURS, async (cast) => {
  const { romeo } = cast;
  await romeo.sync();
  const token = await fetchesToken(cast);
  // As it stands once passwords are forgotten, e.g. by a client that was let in by other means.
  const { store } = cast.memory;
  const table = {
    name: 'client',
    version: 1,
    encode: (row: object) => Buffer.from(JSON.stringify(row)),
    decode: (bytes: Uint8Array) => JSON.parse(Buffer.from(bytes).toString()) as object,
  };
  const { Batch } = await import('../../src/store/store.ts');
  const [row] = await store.list(table, romeo.bare);
  await store.commit(new Batch(romeo.bare).put(table, row!.key, { ...row!.value, methods: {} })).promise;
  const client = await opened(cast);
  await client.sends(withToken(cast, { token }, userAgent(), bind));
  const next = tokenIn((await succeeds(client)).success);
  const [listed] = (await list(romeo)).filter((each) => methods(each).join() === 'fast');
  await romeo.sends(revoke(listed!.attrs['id']!));
  await romeo.receives(`<iq type='result' id='r1'/>`);
  await client.isClosedWith('not-authorized');
  assert.equal(await tries(cast, withToken(cast, { token: next }, userAgent())), 'not-authorized');
  assert.equal((await list(romeo)).length, 1);
});

transcript('XEP-0494: after a change of the password nobody who knew the old one is listed', ONLY_OURS, async (cast) => {
  const { romeo } = cast;
  await romeo.sync();
  await fetchesToken(cast);
  assert.equal((await list(romeo)).length, 2);
  await romeo.sends(
    `<iq type='set' id='p1'><query xmlns='jabber:iq:register'><username>${romeo.local}</username><password>another password</password></query></iq>`,
  );
  await romeo.receives(`<iq type='result' id='p1'/>`);
  assert.equal((await list(romeo)).length, 1);
});

transcript(
  'XEP-0494: names are not kept where the operator does not want that',
  { config: { accounts: { areClientsNamed: false } } },
  async (cast) => {
    const { romeo } = cast;
    await romeo.sync();
    await fetchesToken(cast);
    for (const client of await list(romeo)) assert.equal(childOf(client, 'user-agent', NS), undefined);
  },
);

transcript('XEP-0494: who stays away is forgotten, and there is an end to their number', ONLY_OURS, async (cast) => {
  const { romeo } = cast;
  await romeo.sync();
  for (let i = 0; i < 55; i++) {
    const client = await opened(cast);
    await client.sends(withPassword(cast, userAgent(`00000000-0000-4000-8000-${String(i).padStart(12, '0')}`), requestToken()));
    await succeeds(client);
    await client.drops();
    await cast.advance(1_000);
  }
  assert.equal((await list(romeo)).length, 51);
  await cast.advance(91 * 86_400_000);
  const again = cast.client('phone');
  assert.equal((await list(again)).filter((client) => childOf(client, 'user-agent', NS) !== undefined).length, 0);
});

transcript('XEP-0494 §6: it is the owner’s alone', ONLY_OURS, async (cast) => {
  const { romeo, juliet } = cast;
  await juliet.sends(`<iq type='get' id='l1' to='${romeo.bare}'><list xmlns='${NS}'/></iq>`);
  await juliet.receives(`<iq type='error' id='l1'><error type='cancel'><service-unavailable xmlns='${STANZAS}'/></error></iq>`);
});
