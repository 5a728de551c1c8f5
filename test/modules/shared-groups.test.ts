import assert from 'node:assert/strict';
import { test } from 'node:test';
import { prepare, type PlainCaller } from '../../src/core/command.ts';
import type { Operations } from '../../src/core/operations.ts';
import { Directory, type Group } from '../../src/modules/shared-groups/group.ts';
import { serverCommands } from '../../src/server/commands.ts';
import type { BareJid } from '../../src/xmpp/jid.ts';
import type { CastOfClients, Client } from '../harness/cast.ts';
import { transcript } from '../harness/transcript.ts';
import { childElements, childOf, textOf } from '../harness/xml.ts';
import { befriends, presenceOf, rosterOf, verOf } from './roster-scenes.ts';

const NS_ROSTER = 'jabber:iq:roster';
const STANZAS = 'urn:ietf:params:xml:ns:xmpp-stanzas';
const OURS = { onlyOurs: 'groups are made by commands of ours' };

type Play = (cast: CastOfClients) => Promise<void>;
const scene = (title: string, play: Play): void => transcript(title, OURS, play);

const OPERATOR: PlainCaller = { role: 'operator', name: 'control socket' };

/** Runs a command of the operator. */
async function runs(cast: CastOfClients, name: string, args: Readonly<Record<string, unknown>>): Promise<unknown> {
  await cast.ready();
  const { runtime, store } = cast.memory;
  const server = {
    config: [...runtime.hosts.values()][0]!.config,
    store,
    everyWorker: async ({ name: operation }: { name: string }, given: unknown) => [await runtime.operate(operation, given)],
  } as unknown as Operations;
  const { command, args: checked } = prepare(serverCommands(), name, args, OPERATOR);
  if ('stream' in command) throw new Error('it streams');
  const outcome = Promise.resolve(command.run(checked, { ...OPERATOR, signal: new AbortController().signal }, server));
  outcome.catch(() => undefined);
  await cast.target.settle();
  return outcome;
}
const makes = (cast: CastOfClients, name: string, members: string, more: Readonly<Record<string, unknown>> = {}): Promise<unknown> =>
  runs(cast, 'group set', { name, members, ...more });

const push = (client: Client, title: string, subscription = 'both', name = client.local): string =>
  `<iq type='set' id='{id}'><query xmlns='${NS_ROSTER}' ver='{any}'><item jid='${client.bare}' subscription='${subscription}' name='${name}'><group>${title}</group></item></query></iq>`;
const removal = (client: Client): string =>
  `<iq type='set' id='{id}'><query xmlns='${NS_ROSTER}' ver='{any}'><item jid='${client.bare}' subscription='remove'/></query></iq>`;

scene('members have each other in their rosters, with name and group, and see each other', async (cast) => {
  const { romeo, mercutio, juliet } = cast;
  await romeo.sync();
  await juliet.sync();
  await mercutio.sync();
  await makes(cast, 'montagues', `${romeo.bare},${mercutio.bare}`, { title: 'The Montagues' });
  await romeo.sends(`<iq type='get' id='r1'><query xmlns='${NS_ROSTER}'/></iq>`);
  await romeo.receives(
    `<iq type='result' id='r1'><query xmlns='${NS_ROSTER}' ver='{any}'><item jid='${mercutio.bare}' subscription='both' name='mercutio'><group>The Montagues</group></item></query></iq>`,
  );
  assert.deepEqual(await rosterOf(juliet), []);
  await romeo.becomesAvailable();
  await romeo.collects();
  await mercutio.becomesAvailable();
  await romeo.receives(presenceOf(mercutio));
  await mercutio.receives(presenceOf(romeo));
  await juliet.receivesNothing();
});

scene('a change is pushed to those who are there, and so is their presence', async (cast) => {
  const { romeo, mercutio } = cast;
  for (const client of [romeo, mercutio]) {
    await rosterOf(client);
    await client.becomesAvailable();
  }
  await makes(cast, 'friends', `${romeo.bare},${mercutio.bare}`);
  await romeo.receivesInAnyOrder(push(mercutio, 'friends'), presenceOf(mercutio), presenceOf(mercutio));
  await mercutio.receivesInAnyOrder(push(romeo, 'friends'), presenceOf(romeo), presenceOf(romeo));
  await runs(cast, 'group set', { name: 'friends', title: 'Friends' });
  await romeo.receives(push(mercutio, 'Friends'));
  await mercutio.receives(push(romeo, 'Friends'));
  await runs(cast, 'group leave', { name: 'friends', address: mercutio.bare });
  await romeo.receivesInAnyOrder(removal(mercutio), `<presence type='unavailable' from='${mercutio.full}'/>`);
  await mercutio.receivesInAnyOrder(removal(romeo), `<presence type='unavailable' from='${romeo.full}'/>`);
  await romeo.sends(`<presence><status>alone</status></presence>`);
  await mercutio.receivesNothing();
  await runs(cast, 'group join', { name: 'friends', address: mercutio.bare });
  await mercutio.takes('the push', ({ name }) => name === 'iq');
  await runs(cast, 'group del', { name: 'friends' });
  await mercutio.takes('the removal', ({ name, children }) => name === 'iq' && JSON.stringify(children).includes('remove'));
  assert.deepEqual(await rosterOf(mercutio), []);
});

scene('RFC 6121 §2.6: a client that comes back with a version gets what has changed meanwhile, and no more', async (cast) => {
  const { romeo, mercutio, benvolio } = cast;
  await befriends(romeo, benvolio);
  await mercutio.sync();
  await makes(cast, 'friends', `${romeo.bare},${mercutio.bare}`);
  await romeo.sends(`<iq type='get' id='r1'><query xmlns='${NS_ROSTER}' ver=''/></iq>`);
  const ver = verOf(await romeo.takes('the roster', ({ attrs }) => attrs['id'] === 'r1'));
  await romeo.disconnects();
  await romeo.connects();
  await romeo.sends(`<iq type='get' id='r2'><query xmlns='${NS_ROSTER}' ver='${ver}'/></iq>`);
  await romeo.receives(`<iq type='result' id='r2'/>`);
  await romeo.receivesNothing();
  await romeo.disconnects();
  await makes(cast, 'friends', `${mercutio.bare}`);
  const later = await cast.restarted();
  await later.romeo.sends(`<iq type='get' id='r3'><query xmlns='${NS_ROSTER}' ver='${ver}'/></iq>`);
  await later.romeo.receives(`<iq type='result' id='r3'/>`);
  await later.romeo.receives(removal(mercutio));
  await later.romeo.receivesNothing();
});

scene('what the user makes of such a contact stays the user’s: another name, further groups', async (cast) => {
  const { romeo, mercutio } = cast;
  await mercutio.sync();
  await makes(cast, 'friends', `${romeo.bare},${mercutio.bare}`);
  await romeo.sends(
    `<iq type='set' id='s1'><query xmlns='${NS_ROSTER}'><item jid='${mercutio.bare}' name='Cuz'><group>Fools</group></item></query></iq>`,
  );
  await romeo.receives(`<iq type='result' id='s1'/>`);
  const shown = async (client: Client): Promise<string[]> => {
    await client.sends(`<iq type='get' id='r1'><query xmlns='${NS_ROSTER}'/></iq>`);
    const answer = await client.takes('the roster', ({ attrs }) => attrs['id'] === 'r1');
    return childElements(childOf(answer, 'query', NS_ROSTER)!).map((item) =>
      [item.attrs['name'], item.attrs['subscription'], ...childElements(item).map(textOf)].join(' '),
    );
  };
  assert.deepEqual(await shown(romeo), ['Cuz both friends Fools']);
  await runs(cast, 'group del', { name: 'friends' });
  await romeo.collects();
  assert.deepEqual(await shown(romeo), ['Cuz none Fools']);
});

scene('it cannot be removed, nor its subscription ended: that is the operator’s', async (cast) => {
  const { romeo, mercutio } = cast;
  await mercutio.sync();
  await makes(cast, 'friends', `${romeo.bare},${mercutio.bare}`);
  await romeo.sends(`<iq type='set' id='s1'><query xmlns='${NS_ROSTER}'><item jid='${mercutio.bare}' subscription='remove'/></query></iq>`);
  const refusal = `<error type='cancel' match:rest='ignore'><not-allowed xmlns='${STANZAS}'/></error>`;
  await romeo.receives(`<iq type='error' id='s1' match:rest='ignore'>${refusal}</iq>`);
  for (const type of ['unsubscribe', 'unsubscribed']) {
    await romeo.sends(`<presence type='${type}' id='p1' to='${mercutio.bare}'/>`);
    await romeo.receives(`<presence type='error' id='p1' match:rest='ignore'>${refusal}</presence>`);
  }
  assert.deepEqual(await rosterOf(romeo), [`${mercutio.bare} both`]);
});

scene('contacts of one’s own are left as they were when the group goes', async (cast) => {
  const { romeo, mercutio } = cast;
  await befriends(romeo, mercutio);
  await makes(cast, 'friends', `${romeo.bare},${mercutio.bare}`);
  await runs(cast, 'group del', { name: 'friends' });
  assert.deepEqual(await rosterOf(romeo), [`${mercutio.bare} both`]);
  await romeo.becomesAvailable();
  await romeo.collects();
  await mercutio.becomesAvailable();
  await romeo.receives(presenceOf(mercutio));
});

scene('visible to others: they see the members, who do not have them in their rosters', async (cast) => {
  const { romeo, juliet, nurse } = cast;
  for (const client of [romeo, juliet, nurse]) await client.sync();
  await makes(cast, 'watchers', nurse.bare);
  await makes(cast, 'lovers', `${romeo.bare},${juliet.bare}`, { visible: 'watchers' });
  assert.deepEqual(await rosterOf(nurse), [`${juliet.bare} to`, `${romeo.bare} to`]);
  assert.deepEqual(await rosterOf(romeo), []);
  await nurse.becomesAvailable();
  await nurse.collects();
  await romeo.becomesAvailable();
  await nurse.receives(presenceOf(romeo));
  await romeo.receivesNothing();
  await juliet.receivesNothing();
});

scene('everyone: accounts that come later are there at once, and go when they are removed', async (cast) => {
  const { romeo, juliet } = cast;
  await juliet.sync();
  await makes(cast, 'all', 'everyone', { title: 'Verona' });
  await rosterOf(romeo);
  await romeo.becomesAvailable();
  await romeo.collects();
  const { paris } = cast;
  assert.deepEqual(await rosterOf(paris), [`${juliet.bare} both`, `${romeo.bare} both`]);
  await paris.becomesAvailable();
  await romeo.receives(push(paris, 'Verona'));
  await romeo.takes('the presence', ({ name, attrs }) => name === 'presence' && attrs['from'] === paris.full);
  await romeo.collects();
  await cast.memory.ask(paris.local, { kind: 'remove_account' });
  await romeo.takes('the removal', ({ name, children }) => name === 'iq' && JSON.stringify(children).includes('remove'));
  assert.deepEqual(await rosterOf(romeo), [`${juliet.bare} both`]);
});

scene('nobody gets into a roster by writing what a removed account would', async (cast) => {
  const { romeo, juliet, tybalt } = cast;
  for (const client of [romeo, juliet, tybalt]) await client.sync();
  await makes(cast, 'lovers', `${romeo.bare},${juliet.bare}`);
  await rosterOf(romeo);
  for (const type of ['subscribed', 'unsubscribed', 'unsubscribe', 'probe'])
    await tybalt.sends(`<presence type='${type}' to='${romeo.bare}'/>`);
  await tybalt.sends(`<presence to='${romeo.bare}'/>`);
  await tybalt.sync();
  assert.deepEqual(await rosterOf(romeo), [`${juliet.bare} both`]);
});

scene('RFC 6121 §4.3.2: a member may probe, somebody else may not', async (cast) => {
  const { romeo, juliet, tybalt } = cast;
  for (const client of [romeo, juliet, tybalt]) await client.sync();
  await makes(cast, 'lovers', `${romeo.bare},${juliet.bare}`);
  await romeo.becomesAvailable();
  await romeo.collects();
  await juliet.sends(`<presence type='probe' to='${romeo.bare}'/>`);
  await juliet.receives(presenceOf(romeo));
  await tybalt.sends(`<presence type='probe' to='${romeo.bare}'/>`);
  await tybalt.receivesNothing();
});

scene('commands: what is wrong is said', async (cast) => {
  const { romeo } = cast;
  await romeo.sync();
  const fails = (name: string, args: Readonly<Record<string, unknown>>, code: string): Promise<void> =>
    assert.rejects(runs(cast, name, args), (error: unknown) => (error as { code?: string }).code === code);
  await fails('group set', { name: '<x>' }, 'ERR_COMMAND_ARGUMENTS');
  await fails('group set', { name: 'x', members: 'romeo@elsewhere.lit' }, 'ERR_HOST_UNKNOWN');
  await fails('group set', { name: 'x', members: `${romeo.full}` }, 'ERR_ADDRESS');
  await fails('group set', { name: 'x', visible: 'y' }, 'ERR_NO_GROUP');
  await fails('group del', { name: 'x' }, 'ERR_NO_GROUP');
  await fails('group join', { name: 'x', address: romeo.bare }, 'ERR_NO_GROUP');
  await makes(cast, 'all', 'everyone');
  await fails('group join', { name: 'all', address: romeo.bare }, 'ERR_COMMAND_ARGUMENTS');
  assert.deepEqual(await runs(cast, 'group list', {}), {
    groups: [{ name: 'all', title: 'all', members: 'everyone', visibleTo: 'members' }],
  });
  assert.deepEqual(await runs(cast, 'group members', { name: 'all' }), { members: 'everyone' });
});

test('who is in whose roster, and how', () => {
  const group = (members: Group['members'], visibleTo: Group['visibleTo'] = 'members', title = 'T'): Group => ({
    title,
    members,
    visibleTo,
  });
  const accounts = ['a@x', 'b@x', 'c@x'] as BareJid[];
  const of = (groups: Readonly<Record<string, Group>>, user: string, other: string): string | undefined => {
    const contact = new Directory(new Map(Object.entries(groups)), accounts).contact(user, other);
    return contact && `${contact.isListed ? 'listed' : 'hidden'} ${contact.subscription} ${contact.groups.join()}`.trim();
  };
  const cases: readonly (readonly [Readonly<Record<string, Group>>, string | undefined, string | undefined])[] = [
    [{}, undefined, undefined],
    [{ g: group(['a@x', 'b@x']) }, 'listed both T', 'listed both T'],
    [{ g: group(['a@x']) }, undefined, undefined],
    [{ g: group('everyone') }, 'listed both T', 'listed both T'],
    [{ g: group(['b@x'], 'everyone') }, 'listed to T', 'hidden from'],
    [{ g: group(['b@x'], ['h']), h: group(['a@x'], [], 'H') }, 'listed to T', 'hidden from'],
    [{ g: group(['b@x'], ['h']), h: group(['a@x'], ['g'], 'H') }, 'listed both T', 'listed both H'],
    [{ g: group(['a@x', 'b@x']), h: group(['b@x'], 'everyone', 'H') }, 'listed both T,H', 'listed both T'],
    [{ g: group(['b@x'], ['gone']) }, undefined, undefined],
  ];
  for (const [groups, seenByA, seenByB] of cases) {
    assert.equal(of(groups, 'a@x', 'b@x'), seenByA, JSON.stringify(groups));
    assert.equal(of(groups, 'b@x', 'a@x'), seenByB, JSON.stringify(groups));
    const directory = new Directory(new Map(Object.entries(groups)), accounts);
    for (const user of accounts) {
      const each = accounts.flatMap((other) => directory.contact(user, other) ?? []);
      assert.deepEqual(new Set(directory.contactsOf(user).map(({ jid }) => jid.bare)), new Set(each.map(({ jid }) => jid.bare)));
    }
  }
});
