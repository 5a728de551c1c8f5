/** What clients see of a store that fails: nothing is acknowledged that was not written, and everybody stays connected. Design §1.1, §3. */
import assert from 'node:assert/strict';
import { jsonTable } from '../../src/store/codec.ts';
import { defineModule } from '../../src/core/module.ts';
import type { AccountStatus } from '../../src/core/messages.ts';
import { parseJid } from '../../src/xmpp/jid.ts';
import { base64, errorXml, SASL, threat as scenario } from '../threats/scene.ts';
import { printXml } from '../harness/xml.ts';
import { failingStore } from './failing-store.ts';

const INTERNAL = errorXml('cancel', 'internal-server-error');
const FULL = errorXml('wait', 'resource-constraint');
const message = (to: string, id: string): string => `<message type='chat' id='${id}' to='${to}'><body>${id}</body></message>`;

const full = failingStore();
scenario(
  'a message that cannot be kept is answered with an error, and what needs no room is served',
  { store: full.store, mayCrash: true },
  async (scene) => {
    const { romeo, nurse } = scene.cast;
    const juliet = scene.cast.offline('juliet');
    await nurse.sync();
    await romeo.sync();
    full.failing.commits = true;
    await romeo.sends(
      message(juliet.bare, 'm1') +
        message(juliet.bare, 'm2') +
        `<iq type='get' id='q' to='${juliet.bare}'><query xmlns='jabber:iq:last'/></iq>`,
    );
    await romeo.receivesInAnyOrder(
      ...['m1', 'm2'].map((id) => `<message type='error' id='${id}' from='${juliet.bare}'>${FULL}</message>`),
      `<iq type='error' id='q' from='${juliet.bare}'>${errorXml('auth', 'forbidden')}</iq>`, // needs no room
    );
    full.failing.commits = false;
    await scene.advance(3_000);
    await romeo.sends(message(juliet.bare, 'm3'));
    await romeo.receivesNothing();
    await juliet.connects();
    await juliet.sends('<presence/>');
    await juliet.takes('the message that was kept', ({ attrs }) => attrs['id'] === 'm3');
    await juliet.receives(`<presence from='${juliet.full}'/>`).catch(() => undefined);
    assert.deepEqual(
      (await juliet.collects()).filter(({ name }) => name === 'message'),
      [],
      'the others were refused',
    );
  },
);

const long = failingStore();
scenario(
  'a disk that stays full: each change is refused, sessions stay, and the first change after it succeeds',
  { store: long.store, mayCrash: true },
  async (scene) => {
    const { romeo, juliet } = scene.cast;
    for (const client of [romeo, juliet]) await client.becomesAvailable();
    long.failing.commits = true;
    const set = (i: number): string =>
      `<iq type='set' id='s${i}'><query xmlns='jabber:iq:roster'><item jid='contact${i}@example.org'/></query></iq>`;
    for (let i = 0; i < 40; i++) {
      await romeo.sends(set(i));
      await scene.advance(2_500);
      await romeo.receives(`<iq type='error' id='s${i}'>${FULL}</iq>`);
    }
    assert.ok(
      scene.crashes.every(({ willRestart }) => willRestart),
      'the account does not give up',
    );
    assert.equal(scene.runtime.counters.closed.size, 0);
    // What needs no change is served meanwhile.
    await juliet.sends(`<iq type='get' id='there' to='${romeo.full}'><ping xmlns='urn:xmpp:ping'/></iq>`);
    await romeo.receives(`<iq type='get' id='there' from='${juliet.full}'><ping xmlns='urn:xmpp:ping'/></iq>`);
    long.failing.commits = false;
    await romeo.sends(set(99));
    await romeo.takes('the answer', ({ attrs }) => attrs['id'] === 's99' && attrs['type'] === 'result');
  },
);

const twice = failingStore();
scenario('what comes while the account waits for its store is refused', { store: twice.store, mayCrash: true }, async (scene) => {
  const { romeo, juliet } = scene.cast;
  for (const client of [romeo, juliet]) await client.becomesAvailable();
  twice.failing.commits = true;
  for (const id of ['s1', 's2']) {
    await romeo.sends(`<iq type='set' id='${id}'><query xmlns='jabber:iq:roster'><item jid='contact@example.org'/></query></iq>`);
    await scene.settle();
  }
  await romeo.sends(message(juliet.bare, 'm1')); // nothing of the account is loaded now
  await scene.settle();
  assert.equal(scene.crashes.length, 2);
  twice.failing.commits = false;
  for (let i = 0; i < 6; i++) await scene.advance(500);
  for (const id of ['s1', 's2', 'm1']) {
    const answer = await romeo.takes('an error', ({ attrs }) => attrs['id'] === id);
    assert.ok(printXml(answer).includes('<resource-constraint '), printXml(answer));
  }
  await romeo.sends(message(juliet.bare, 'm2'));
  await juliet.takes('the message', ({ attrs }) => attrs['id'] === 'm2');
});

const partly = failingStore();
scenario(
  'XEP-0198 §4: a client that asks is told what was kept, and the rest when that is',
  { store: partly.store, mayCrash: true },
  async (scene) => {
    const { juliet } = scene.cast;
    const romeo = await scene.loggedIn('romeo');
    await romeo.binds('orchard');
    await romeo.sends(`<enable xmlns='urn:xmpp:sm:3' resume='true'/>`);
    await romeo.takes('enabled', ({ name }) => name === 'enabled');
    await romeo.sends(message(juliet.bare, 'm1'));
    partly.failing.commits = true;
    await romeo.sends(message(juliet.bare, 'm2') + message(juliet.bare, 'm3'));
    for (const id of ['m2', 'm3']) await romeo.takes(id, ({ attrs }) => attrs['id'] === id && attrs['type'] === 'error');
    await romeo.sends(`<r xmlns='urn:xmpp:sm:3'/>`);
    const first = await romeo.takes('a count', ({ name }) => name === 'a');
    assert.equal(first.attrs['h'], '1');
    partly.failing.commits = false;
    await scene.advance(5_000);
    await romeo.takes('the whole count', ({ name, attrs }) => name === 'a' && attrs['h'] === '3');
  },
);

const broken = failingStore();
scenario(
  'an account that cannot be read: messages wait with their senders, logins may be tried again, and it comes back by itself',
  { store: broken.store },
  async (scene) => {
    const { romeo } = scene.cast;
    const juliet = scene.cast.offline('juliet');
    await romeo.sync();
    await scene.advance(200_000); // its actor is unloaded
    broken.failing.reads = true;
    await romeo.sends(message(juliet.bare, 'm1'));
    await scene.advance(2_500);
    await romeo.sends(message(juliet.bare, 'm2'));
    await romeo.sends(`<iq type='get' id='q' to='${juliet.bare}'><query xmlns='jabber:iq:last'/></iq>`);
    await romeo.receives(`<iq type='error' id='q'>${FULL}</iq>`);
    const stranger = await scene.opened();
    await stranger.sends(`<auth xmlns='${SASL}' mechanism='PLAIN'>${base64('\0juliet\0secret of juliet')}</auth>`);
    await scene.advance(12_000);
    await stranger.receives(`<failure xmlns='${SASL}'><temporary-auth-failure/></failure>`);
    broken.failing.reads = false;
    await scene.advance(2_500);
    await juliet.connects();
    await scene.advance(6_000); // they are said again
    await juliet.sends('<presence/>');
    for (const id of ['m1', 'm2']) await juliet.takes(id, ({ attrs }) => attrs['id'] === id);
    await romeo.receivesNothing();
    assert.ok(scene.logged.some(({ what }) => what === 'account_unreadable'));
  },
);

/** Writes a row when a session opens, so that the answer to bind has to wait for the store. */
const NOTES = jsonTable<number>({ name: 'note', version: 1 });
const NOTING = defineModule({ name: 'noting', implements: [], hooks: { session_opened: (account) => account.put(NOTES, [], 1) } });
const binding = failingStore();
scenario(
  'RFC 6120 §7: a bind whose answer is lost leaves no session behind',
  { store: binding.store, modules: [NOTING], mayCrash: true },
  async (scene) => {
    const client = await scene.loggedIn('romeo');
    binding.failing.commits = true;
    await client.sends(`<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>one</resource></bind></iq>`);
    await client.receives(`<iq type='error' id='bind'>${INTERNAL}</iq>`);
    binding.failing.commits = false;
    await scene.advance(3_000);
    assert.deepEqual(((await scene.ask('romeo', { kind: 'get_status' })) as AccountStatus).sessions, []);
    assert.equal(await client.binds('two'), 'romeo@capulet.lit/two');
    const { sessions } = (await scene.ask('romeo', { kind: 'get_status' })) as AccountStatus;
    assert.deepEqual(
      sessions.map(({ jid }) => jid),
      ['romeo@capulet.lit/two'],
    );
    await client.drops();
    assert.deepEqual(((await scene.ask('romeo', { kind: 'get_status' })) as AccountStatus).sessions, []);
  },
);

const removing = failingStore();
scenario('an account that could not be removed keeps its sessions', { store: removing.store, mayCrash: true }, async (scene) => {
  const { romeo } = scene.cast;
  await romeo.becomesAvailable();
  removing.failing.commits = true;
  const removed = assert.rejects(scene.runtime.ask(parseJid(romeo.bare)!.bare, { kind: 'remove_account' }));
  await scene.settle();
  await removed;
  removing.failing.commits = false;
  await scene.advance(3_000);
  await romeo.sends(`<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>`);
  await romeo.takes('the roster', ({ attrs }) => attrs['id'] === 'r' && attrs['type'] === 'result');
  assert.equal(scene.runtime.counters.closed.size, 0);
});
