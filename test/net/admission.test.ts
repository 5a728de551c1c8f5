import assert from 'node:assert/strict';
import { BlockList } from 'node:net';
import { test } from 'node:test';
import { ManualClock } from '../../src/kernel/clock.ts';
import { Admission, DEFAULT_ADMISSION_LIMITS } from '../../src/net/admission.ts';
import type { AdmissionLimits, Admitted } from '../../src/net/admission.ts';

function makeAdmission(limits: Partial<AdmissionLimits>, exempt?: BlockList): { admission: Admission; clock: ManualClock } {
  const clock = new ManualClock();
  return { admission: new Admission({ ...DEFAULT_ADMISSION_LIMITS, ...limits }, clock, exempt), clock };
}

function admitted(outcome: Admitted | string): Admitted {
  assert.ok(typeof outcome !== 'string', `refused: ${String(outcome)}`);
  return outcome;
}

test('the number of connections is limited, and one that ends makes room', () => {
  const { admission } = makeAdmission({ maxConnections: 2 });
  const first = admitted(admission.admit('192.0.2.1'));
  admitted(admission.admit('192.0.2.2'));
  assert.equal(admission.admit('192.0.2.3'), 'too_many_connections');
  admission.release(first);
  admitted(admission.admit('192.0.2.3'));
  assert.equal(admission.open, 2);
});

test('CVE-2026-43506: connections that have not logged in have a ceiling of their own', () => {
  const { admission } = makeAdmission({ maxUnauthenticated: 2 });
  const first = admitted(admission.admit('192.0.2.1'));
  const second = admitted(admission.admit('192.0.2.2'));
  assert.equal(admission.admit('192.0.2.3'), 'too_many_unauthenticated');
  admission.authenticated(first);
  admission.authenticated(first);
  assert.equal(admission.unauthenticated, 1, 'counted once');
  admitted(admission.admit('192.0.2.3'));
  admission.release(second);
  admission.release(first);
  assert.deepEqual([admission.open, admission.unauthenticated], [1, 1]);
});

test('one address has a share of connections, and a smaller one of strangers', () => {
  const { admission } = makeAdmission({ maxPerAddress: 3, maxUnauthenticatedPerAddress: 2 });
  const first = admitted(admission.admit('192.0.2.1'));
  const second = admitted(admission.admit('192.0.2.1'));
  assert.equal(admission.admit('192.0.2.1'), 'too_many_unauthenticated_from_address');
  admitted(admission.admit('192.0.2.2'));
  admission.authenticated(first);
  admission.authenticated(second);
  admitted(admission.admit('192.0.2.1'));
  assert.equal(admission.admit('192.0.2.1'), 'too_many_from_address');
  admission.release(first);
  admitted(admission.admit('192.0.2.1'));
});

test('an IPv6 /64 counts as one address', () => {
  const { admission } = makeAdmission({ maxPerAddress: 1 });
  admitted(admission.admit('2001:db8:1:2::1'));
  assert.equal(admission.admit('2001:db8:1:2:ffff::2'), 'too_many_from_address');
  admitted(admission.admit('2001:db8:1:3::1'));
});

test('connecting has a rate per address: a burst, then so many a second, also for who disconnects at once', () => {
  const { admission, clock } = makeAdmission({ connectBurst: 3, connectsPerSecond: 2 });
  for (let i = 0; i < 3; i++) admission.release(admitted(admission.admit('192.0.2.1')));
  assert.equal(admission.admit('192.0.2.1'), 'connecting_too_fast');
  clock.advance(499);
  assert.equal(admission.admit('192.0.2.1'), 'connecting_too_fast');
  clock.advance(1);
  admission.release(admitted(admission.admit('192.0.2.1')));
  assert.equal(admission.admit('192.0.2.1'), 'connecting_too_fast');
  clock.advance(3_600_000);
  for (let i = 0; i < 3; i++) admitted(admission.admit('192.0.2.1'));
  assert.equal(admission.admit('192.0.2.1'), 'connecting_too_fast', 'credit does not grow beyond the burst');
});

test('the table of addresses is bounded, whoever connects and from wherever', () => {
  const { admission } = makeAdmission({ maxConnections: 10, maxRememberedAddresses: 100, connectBurst: 1, connectsPerSecond: 0 });
  for (let i = 0; i < 10_000; i++) admission.release(admitted(admission.admit(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`)));
  assert.equal(admission.addresses, 100);
  assert.equal(admission.admit('10.0.39.15'), 'connecting_too_fast', 'the last one is remembered');
  for (let i = 0; i < 10; i++) admitted(admission.admit(`192.0.2.${i}`));
  for (let i = 0; i < 10_000; i++) assert.equal(admission.admit(`11.0.${i >> 8}.${i & 255}`), 'too_many_connections');
  assert.ok(admission.addresses <= 110, String(admission.addresses));
});

test('a refused address with no connection is remembered, not kept', () => {
  const { admission } = makeAdmission({ maxPerAddress: 0, maxRememberedAddresses: 5 });
  for (let i = 0; i < 100; i++) assert.equal(admission.admit(`192.0.2.${i}`), 'too_many_from_address');
  assert.equal(admission.addresses, 5);
});

test('exempt addresses, as of a proxy, are under the limits of the worker only', () => {
  const proxies = new BlockList();
  proxies.addSubnet('10.0.0.0', 8);
  const { admission } = makeAdmission({ maxPerAddress: 1, connectBurst: 1, maxConnections: 3 }, proxies);
  for (let i = 0; i < 3; i++) admitted(admission.admit('10.1.2.3'));
  assert.equal(admission.addresses, 0);
  assert.equal(admission.admit('10.1.2.3'), 'too_many_connections');
});

test('new limits hold for connections from then on', () => {
  const { admission } = makeAdmission({ maxConnections: 1 });
  admitted(admission.admit('192.0.2.1'));
  admission.setLimits({ ...DEFAULT_ADMISSION_LIMITS, maxConnections: 2 });
  admitted(admission.admit('192.0.2.1'));
  assert.equal(admission.admit('192.0.2.1'), 'too_many_connections');
});

const GUESSES = { maxLoginFailures: 3, loginFailureWindowMs: 60_000, banMs: 300_000, connectBurst: 100_000 };

test('failed logins: an address with too many in the window may not connect for a while, whatever connection they came over', () => {
  const { admission, clock } = makeAdmission(GUESSES);
  for (let i = 0; i < 3; i++) assert.equal(admission.loginFailed('192.0.2.1'), false);
  admission.release(admitted(admission.admit('192.0.2.1')));
  assert.equal(admission.loginFailed('192.0.2.1'), true, 'the one too many says so');
  assert.equal(admission.admit('192.0.2.1'), 'too_many_login_failures');
  admitted(admission.admit('192.0.2.2'));
  clock.advance(299_999);
  assert.equal(admission.admit('192.0.2.1'), 'too_many_login_failures');
  clock.advance(1);
  admission.release(admitted(admission.admit('192.0.2.1')));
  assert.equal(admission.bans, 1);
  for (let i = 0; i < 3; i++) assert.equal(admission.loginFailed('192.0.2.1'), false, 'a clean start');
});

test('failed logins: a ban is told of once, and goes on while there are guesses over connections that are open', () => {
  const { admission, clock } = makeAdmission(GUESSES);
  const told: boolean[] = [];
  for (let i = 0; i < 10; i++) told.push(admission.loginFailed('192.0.2.1'));
  assert.equal(told.filter(Boolean).length, 1);
  clock.advance(200_000);
  assert.equal(admission.loginFailed('192.0.2.1'), false);
  clock.advance(200_000);
  assert.equal(admission.admit('192.0.2.1'), 'too_many_login_failures');
  clock.advance(100_000);
  admitted(admission.admit('192.0.2.1'));
  assert.equal(admission.bans, 1);
});

test('failed logins: the window begins with its first, and another comes after it; who mistypes now and then is never banned', () => {
  const { admission, clock } = makeAdmission(GUESSES);
  for (let i = 0; i < 1_000; i++) {
    assert.equal(admission.loginFailed('192.0.2.1'), false);
    clock.advance(20_000);
  }
});

test('failed logins: a successful one changes nothing for the others', () => {
  const { admission } = makeAdmission(GUESSES);
  for (let i = 0; i < 3; i++) admission.loginFailed('192.0.2.1');
  admission.authenticated(admitted(admission.admit('192.0.2.1')));
  assert.equal(admission.loginFailed('192.0.2.1'), true);
});

test('failed logins: an IPv6 /64 counts as one address', () => {
  const { admission } = makeAdmission(GUESSES);
  for (let i = 1; i <= 4; i++) admission.loginFailed(`2001:db8:1:2::${i}`);
  assert.equal(admission.admit('2001:db8:1:2:ffff::9'), 'too_many_login_failures');
  admitted(admission.admit('2001:db8:1:3::1'));
});

test('failed logins: 0 bans nobody, and exempt addresses are never banned', () => {
  const proxies = new BlockList();
  proxies.addSubnet('10.0.0.0', 8);
  proxies.addSubnet('fd00::', 8, 'ipv6');
  const { admission } = makeAdmission(GUESSES, proxies);
  for (let i = 0; i < 100; i++) for (const address of ['10.0.0.1', 'fd00::1']) assert.equal(admission.loginFailed(address), false);
  for (const address of ['10.0.0.1', 'fd00::1']) admitted(admission.admit(address));
  const off = makeAdmission({ ...GUESSES, maxLoginFailures: 0 }).admission;
  for (let i = 0; i < 100; i++) assert.equal(off.loginFailed('192.0.2.1'), false);
  assert.equal(off.addresses, 0);
});

test('failed logins: the table is bounded, and who is banned and goes on guessing stays in it', () => {
  const { admission } = makeAdmission({ ...GUESSES, maxRememberedAddresses: 100 });
  for (let i = 0; i < 4; i++) admission.loginFailed('192.0.2.1');
  for (let i = 0; i < 5_000; i++) {
    admission.loginFailed(`10.0.${i >> 8}.${i & 255}`);
    if (i % 50 === 0) admission.loginFailed('192.0.2.1');
  }
  assert.equal(admission.addresses, 100);
  assert.equal(admission.admit('192.0.2.1'), 'too_many_login_failures');
});

test('failed logins: a banned address pays for its tries like any other: a flood is refused without a look at the ban', () => {
  const { admission } = makeAdmission({ ...GUESSES, connectBurst: 2, connectsPerSecond: 0 });
  for (let i = 0; i < 4; i++) admission.loginFailed('192.0.2.1');
  assert.deepEqual(
    Array.from({ length: 4 }, () => admission.admit('192.0.2.1')),
    ['too_many_login_failures', 'too_many_login_failures', 'connecting_too_fast', 'connecting_too_fast'],
  );
});
