import assert from 'node:assert/strict';
import { transcript } from '../harness/transcript.ts';

interface Info {
  readonly lastLogin: Record<string, unknown> | null;
  readonly isEnabled: boolean;
  readonly ban: Record<string, unknown> | null;
  readonly sessions: readonly unknown[];
}

transcript('the last login is kept, with where from and how; its predecessors are counted', async (cast) => {
  const { romeo } = cast;
  cast.offline('nurse');
  const { clock, run } = cast.memory;
  const info = async (address: string) => (await run('user info', { address })) as Info;
  await romeo.sync();
  const firstMs = clock.now();
  await cast.advance(60_000);
  await romeo.disconnects();
  await romeo.connects();
  await romeo.sync();
  const { lastLogin, sessions } = await info(romeo.bare);
  const { remoteAddress, mechanism, ...rest } = lastLogin!;
  assert.deepEqual(rest, { atMs: firstMs + 60_000, resource: romeo.resource, count: 2, firstMs });
  assert.ok(typeof remoteAddress === 'string' && typeof mechanism === 'string');
  assert.equal(sessions.length, 1);
  assert.equal((await info(`nurse@${cast.domain}`)).lastLogin, null);
  await assert.rejects(info(`nobody@${cast.domain}`), { code: 'ERR_NO_ACCOUNT' });
});

transcript('it survives a restart, and goes with the account', async (before) => {
  await before.romeo.sync();
  const cast = await before.restarted();
  const address = before.romeo.bare;
  assert.equal(((await cast.memory.run('user info', { address })) as Info).lastLogin!['count'], 1);
  await cast.memory.run('user del', { address });
  await cast.memory.run('user add', { address, password: 'another romeo' });
  assert.equal(((await cast.memory.run('user info', { address })) as Info).lastLogin, null);
});

transcript('where the module is off, nothing is known of logins and the rest is told', { modules: { logins: 'off' } }, async (cast) => {
  await cast.romeo.sync();
  const info = (await cast.memory.run('user info', { address: cast.romeo.bare })) as Info;
  assert.equal(info.lastLogin, null);
  assert.equal(info.sessions.length, 1);
});

transcript('user info: why an account is disabled, and by whom', async (cast) => {
  const { romeo } = cast;
  await romeo.sync();
  await cast.memory.run('user disable', { address: romeo.bare, reason: 'duels' });
  const { isEnabled, ban } = (await cast.memory.run('user info', { address: romeo.bare })) as Info;
  assert.equal(isEnabled, false);
  assert.deepEqual(ban, { reason: 'duels', by: 'control socket', atMs: cast.memory.clock.now() });
  await cast.memory.run('user enable', { address: romeo.bare });
  assert.equal(((await cast.memory.run('user info', { address: romeo.bare })) as Info).ban, null);
});
