import assert from 'node:assert/strict';
import { test } from 'node:test';
import { commandTable, prepare, ROLES } from '../../src/control/command.ts';
import { COMMAND_SPECS } from '../../src/control/command-types.ts';
import type { CommandName } from '../../src/control/command-types.ts';
import { commands } from './fake-server.ts';

const GOOD_ARGS: Record<CommandName, unknown> = {
  status: {},
  top: {},
  reload: {},
  stop: {},
  config: {},
  metrics: {},
  'user add': { address: 'juliet@capulet.lit', password: 'secret' },
  'user passwd': { address: 'juliet@capulet.lit', password: 'secret' },
  'user del': { address: 'juliet@capulet.lit' },
  'user list': {},
  'user enable': { address: 'juliet@capulet.lit' },
  'user disable': { address: 'juliet@capulet.lit' },
  'session list': {},
  'session kick': { address: 'juliet@capulet.lit/balcony' },
  backup: { directory: '/var/backups/rookery' },
  export: { address: 'juliet@capulet.lit' },
};

const code = (expected: string) => (error: unknown) => (error as { code?: string }).code === expected;

test('authorization: every command with every role, decided before the arguments are looked at', () => {
  const table = commands();
  for (const [name, args] of Object.entries(GOOD_ARGS) as [CommandName, unknown][]) {
    for (const role of ROLES) {
      const isAllowed = ROLES.indexOf(role) >= ROLES.indexOf(COMMAND_SPECS[name].role);
      if (isAllowed) assert.equal(prepare(table, name, args, role).command.name, name);
      else assert.throws(() => prepare(table, name, { nonsense: true }, role), code('ERR_COMMAND_FORBIDDEN'));
    }
  }
});

test('arguments: unknown ones, wrong ones and missing ones are refused, defaults are filled in', () => {
  const table = commands();
  for (const name of Object.keys(GOOD_ARGS)) {
    assert.throws(() => prepare(table, name, { nonsense: true }, 'operator'), code('ERR_COMMAND_ARGUMENTS'), name);
    assert.throws(() => prepare(table, name, 'text', 'operator'), code('ERR_COMMAND_ARGUMENTS'), name);
  }
  assert.throws(() => prepare(table, 'user add', { address: 'a@b', password: '' }, 'operator'), code('ERR_COMMAND_ARGUMENTS'));
  assert.deepEqual(prepare(table, 'top', {}, 'operator').args, { intervalMs: 1_000, limit: 20 });
});

test('a command nobody knows is refused; two of one name are a bug', () => {
  assert.throws(() => prepare(commands(), 'toString', {}, 'operator'), code('ERR_COMMAND_UNKNOWN'));
  const [command] = [...commands().values()];
  assert.throws(() => commandTable([command!, command!]), /two commands/);
});
