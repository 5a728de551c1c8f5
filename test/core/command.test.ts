import assert from 'node:assert/strict';
import { test } from 'node:test';
import { argumentsOf } from '../../src/core/arguments.ts';
import { commandTable, prepare, ROLES, type PlainCaller, type Role } from '../../src/core/command.ts';
import { serverCommands } from '../../src/server/commands.ts';

const address = 'juliet@capulet.lit';

/** Every command: who is the least that may run it, and arguments that are right. */
const COMMANDS: Readonly<Record<string, readonly [Role | 'personal', args: Readonly<Record<string, unknown>>]>> = {
  status: ['admin', {}],
  top: ['operator', {}],
  reload: ['operator', {}],
  stop: ['admin', {}],
  restart: ['admin', { delay: 60, announcement: 'Back in a minute' }],
  config: ['operator', {}],
  metrics: ['operator', {}],
  'user add': ['admin', { address, password: 'secret' }],
  'user passwd': ['admin', { address, password: 'secret' }],
  'user del': ['admin', { address }],
  'user list': ['admin', {}],
  'user enable': ['admin', { address }],
  'user disable': ['admin', { address }],
  'user info': ['admin', { address }],
  'user count': ['admin', {}],
  'user roster': ['admin', { address }],
  'admin list': ['admin', { host: 'capulet.lit' }],
  'admin add': ['admin', { host: 'capulet.lit', address }],
  'admin remove': ['admin', { host: 'capulet.lit', address }],
  'me passwd': ['personal', { password: 'wherefore art thou' }],
  'me sessions': ['personal', {}],
  'me kick': ['personal', {}],
  'me invite': ['personal', {}],
  'invite create': ['admin', { host: 'capulet.lit' }],
  'invite reset': ['admin', { address: 'juliet@capulet.lit' }],
  'invite list': ['admin', { host: 'capulet.lit' }],
  'invite revoke': ['admin', { host: 'capulet.lit', id: 'abcdefgh' }],
  'invite redeem': ['operator', { host: 'capulet.lit', token: 'x', step: 'claim', guest: 'juliet@capulet.lit' }],
  'announce online': ['admin', { text: 'Hear ye' }],
  'announce all': ['admin', { text: 'Hear ye' }],
  'motd set': ['admin', { text: 'Hear ye' }],
  'motd update': ['admin', { text: 'Hear ye' }],
  'motd delete': ['admin', {}],
  'motd show': ['admin', {}],
  'welcome set': ['admin', { text: 'Welcome' }],
  'welcome delete': ['admin', {}],
  'welcome show': ['admin', {}],
  'access show': ['admin', { host: 'capulet.lit' }],
  'access set': ['admin', { host: 'capulet.lit', list: 'blacklist' }],
  'session list': ['admin', {}],
  'component list': ['admin', {}],
  'session kick': ['admin', { address: `${address}/balcony` }],
  'report list': ['admin', {}],
  'group set': ['admin', { name: 'x' }],
  'group del': ['admin', { name: 'x' }],
  'group list': ['admin', {}],
  'group members': ['admin', { name: 'x' }],
  'group join': ['admin', { name: 'x', address }],
  'group leave': ['admin', { name: 'x', address }],
  's2s list': ['admin', {}],
  's2s close': ['admin', { domain: 'montague.lit' }],
  's2s check': ['admin', { domain: 'montague.lit' }],
  backup: ['operator', { directory: '/var/backups/rookery' }],
  export: ['operator', { address }],
};

const CALLERS: Readonly<Record<Role, PlainCaller>> = {
  remote: { role: 'remote', name: 'tybalt@verona.lit', jid: 'tybalt@verona.lit/sword' },
  anonymous: { role: 'anonymous', name: 'x7@guests.lit', jid: 'x7@guests.lit/y' },
  user: { role: 'user', name: 'romeo@montague.lit', jid: 'romeo@montague.lit/orchard' },
  admin: { role: 'admin', name: 'bard@capulet.lit', jid: 'bard@capulet.lit/globe' },
  operator: { role: 'operator', name: 'control socket' },
};

const code = (expected: string) => (error: unknown) => (error as { code?: string }).code === expected;

test('the table below is of all commands', () => {
  assert.deepEqual([...serverCommands().keys()].toSorted(), Object.keys(COMMANDS).toSorted());
});

test('authorization: every command with every role, decided before the arguments are looked at', () => {
  const table = serverCommands();
  for (const [name, [least, args]] of Object.entries(COMMANDS)) {
    for (const role of ROLES) {
      const isAllowed = least === 'personal' ? role === 'user' || role === 'admin' : ROLES.indexOf(role) >= ROLES.indexOf(least);
      if (isAllowed) assert.equal(prepare(table, name, args, CALLERS[role]).command.name, name);
      else
        assert.throws(() => prepare(table, name, { nonsense: true }, CALLERS[role]), code('ERR_COMMAND_FORBIDDEN'), `${name} as ${role}`);
    }
  }
});

test('authorization: an admin of one host runs on it what an admin may, and nowhere else', () => {
  const table = serverCommands();
  const caller: PlainCaller = { ...CALLERS.admin, domains: ['capulet.lit'] };
  for (const [name, [least, args]] of Object.entries(COMMANDS)) {
    if (least !== 'admin') continue;
    const isAbout = (what: string) => () => prepare(table, name, { ...args, ...aboutOf(name, what) }, caller);
    if (table.get(name)!.concerns === undefined) {
      assert.throws(isAbout('capulet.lit'), code('ERR_COMMAND_FORBIDDEN'), name);
      continue;
    }
    isAbout('capulet.lit')();
    for (const other of ['montague.lit', 'capulet.lit.montague.lit', 'xcapulet.lit'])
      assert.throws(isAbout(other), code('ERR_COMMAND_FORBIDDEN'), `${name} about ${other}`);
  }
  assert.throws(() => prepare(table, 'user list', {}, caller), code('ERR_COMMAND_FORBIDDEN'), 'all hosts are more than one');
  assert.throws(() => prepare(table, 'user del', { address: 'x@montague.lit/@capulet.lit' }, caller), code('ERR_COMMAND_FORBIDDEN'));
});

/** The argument that says what a command is about, set to something of `domain`. */
function aboutOf(name: string, domain: string): Record<string, string> {
  const names = argumentsOf(serverCommands().get(name)!.args).map((argument) => argument.name);
  const host = names.find((each) => each === 'host' || each === 'of');
  if (host !== undefined) return { [host]: domain };
  return names.includes('address') ? { address: `juliet@${domain}` } : {};
}

test('arguments: unknown ones, wrong ones and missing ones are refused, defaults are filled in', () => {
  const table = serverCommands();
  for (const [name, [least]] of Object.entries(COMMANDS)) {
    const caller = least === 'personal' ? CALLERS.user : CALLERS.operator;
    assert.throws(() => prepare(table, name, { nonsense: true }, caller), code('ERR_COMMAND_ARGUMENTS'), name);
    assert.throws(() => prepare(table, name, 'text', caller), code('ERR_COMMAND_ARGUMENTS'), name);
  }
  assert.throws(() => prepare(table, 'user add', { address: 'a@b', password: '' }, CALLERS.operator), code('ERR_COMMAND_ARGUMENTS'));
  assert.throws(
    () => prepare(table, 'backup', { directory: 'relative' }, CALLERS.operator),
    /directory: expected new directory, as an absolute path/,
  );
  assert.deepEqual(prepare(table, 'top', {}, CALLERS.operator).args, { intervalMs: 1_000, limit: 20 });
});

test('arguments: every command says how each is asked for, and which stand without a name', () => {
  for (const [name, { args, positional = [] }] of serverCommands()) {
    const all = argumentsOf(args);
    for (const { title } of all) assert.match(title, /^[A-Z].*[^.]$/, `${name}: ${title}`);
    for (const word of positional)
      assert.ok(
        all.some((argument) => argument.name === word),
        `${name}: ${word}`,
      );
  }
});

test('a command nobody knows is refused; two of one name are a bug', () => {
  assert.throws(() => prepare(serverCommands(), 'toString', {}, CALLERS.operator), code('ERR_COMMAND_UNKNOWN'));
  const [command] = [...serverCommands().values()];
  assert.throws(() => commandTable([command!, command!]), /two commands/);
});
