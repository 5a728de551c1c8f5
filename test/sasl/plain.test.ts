import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { startMechanism, type Step } from '../../src/sasl/mechanism.ts';
import { normalizeLocal } from '../../src/xmpp/jid.ts';
import { opaqueString } from '../../src/xmpp/precis.ts';
import { saslContext } from './sasl-context.ts';

const SEED = 4616;

function start(message: string | Buffer): Step {
  return startMechanism('PLAIN', saslContext())!.start(Buffer.from(message as string));
}

test('RFC 4616 §4: the examples', () => {
  assert.deepEqual(start('\0tim\0tanstaaftanstaaf'), { kind: 'need_password_check', username: 'tim', password: 'tanstaaftanstaaf' });
  assert.deepEqual(start('Ursel\0Kurt\0xipj3plmq'), { kind: 'failure', condition: 'invalid-authzid' }); // nobody acts for others here
});

test('RFC 4616 §2: the password decides', () => {
  for (const isRight of [true, false]) {
    const exchange = startMechanism('PLAIN', saslContext())!;
    assert.equal(exchange.start(Buffer.from('\0juliet\0secret')).kind, 'need_password_check');
    assert.deepEqual(
      exchange.verified(isRight),
      isRight ? { kind: 'success', username: 'juliet' } : { kind: 'failure', condition: 'not-authorized' },
    );
  }
});

test('RFC 4616 §2: names and passwords are prepared', () => {
  assert.deepEqual(start('\0JULIET\0Secret'), { kind: 'need_password_check', username: 'juliet', password: 'Secret' });
  assert.deepEqual(start('\0juliet@Capulet.example\0s'), { kind: 'need_password_check', username: 'juliet', password: 's' });
  assert.deepEqual(start('\0juliet\0pa\u00A0ss\u0065\u0301'), { kind: 'need_password_check', username: 'juliet', password: 'pa ssé' });
  for (const text of ['\0ju liet\0s', '\0juliet\0a\u0007', '\0juliet@montague.example\0s', '\0@\0s'])
    assert.deepEqual(start(text), { kind: 'failure', condition: 'not-authorized' }, text);
});

test('RFC 4616 §2: malformed messages', () => {
  for (const text of [
    '',
    '\0',
    '\0\0',
    'juliet',
    'juliet\0secret',
    '\0juliet',
    '\0juliet\0',
    '\0\0secret',
    'a\0\0',
    'a\0b\0',
    '\0a\0b\0',
    '\0a\0b\0c',
    '\0\0\0\0',
  ]) {
    assert.deepEqual(start(text), { kind: 'failure', condition: 'malformed-request' }, JSON.stringify(text));
  }
  assert.deepEqual(start(Buffer.from('\0juliet\0\xff', 'latin1')), { kind: 'failure', condition: 'malformed-request' });
});

test('ejabberd 26.07: in every layout of NULs, who is logged in is whose password was checked', () => {
  const pieces = fc.constantFrom(
    'juliet',
    'romeo',
    'JULIET',
    'juliet@capulet.example',
    'romeo@capulet.example',
    'juliet@montague.example',
    'secret',
    '',
    ' ',
    'é',
    '@',
    '/x',
  );
  const anyLayout = fc.array(fc.oneof(pieces, fc.constant('\0')), { maxLength: 9 }).map((parts) => parts.join(''));
  const layouts = fc.oneof(
    anyLayout,
    fc.array(pieces, { minLength: 1, maxLength: 5 }).map((parts) => parts.join('\0')),
  );
  let checked = 0;
  let refused = 0;
  fc.assert(
    fc.property(layouts, (text) => {
      const exchange = startMechanism('PLAIN', saslContext())!;
      const step = exchange.start(Buffer.from(text));
      const parts = text.split('\0');
      if (step.kind === 'failure') {
        refused++;
        return;
      }
      assert.ok(step.kind === 'need_password_check');
      checked++;
      assert.equal(parts.length, 3);
      const [authzid, authcid, password] = parts as [string, string, string];
      // An oracle that knows the rule but not the code: the account is the authcid's, and the authzid is silent or the same.
      const account = (name: string): string | undefined => {
        const [local, domain, rest] = name.split('@');
        return rest !== undefined || (domain !== undefined && domain.toLowerCase() !== 'capulet.example')
          ? undefined
          : normalizeLocal(local!);
      };
      assert.equal(step.username, account(authcid));
      assert.equal(step.password, opaqueString(password));
      if (authzid !== '') assert.equal(account(authzid), step.username);
      assert.deepEqual(exchange.verified(true), { kind: 'success', username: step.username });
    }),
    { seed: SEED, numRuns: 8000 },
  );
  assert.ok(checked > 100 && refused > 1000, `${checked} checked, ${refused} refused`);
});
