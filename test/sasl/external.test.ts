import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MAX_CERTIFICATE_BYTES, parseCertificateAddresses } from '../../src/sasl/certificate-addresses.ts';
import { certificateUsernames } from '../../src/sasl/external.ts';
import { startMechanism, type Step } from '../../src/sasl/mechanism.ts';
import { LOOK_ALIKES, NO_ADDRESS, ONE_ADDRESS, TWO_ADDRESSES } from './certificates.ts';
import { saslContext } from './sasl-context.ts';

function start(certificateAddresses: readonly string[], authzid: string): Step {
  return startMechanism('EXTERNAL', saslContext({ certificateAddresses }))!.start(Buffer.from(authzid));
}

const JULIET = { kind: 'need_account_check', username: 'juliet' };

test('XEP-0178 §2: one address, no authorization identity', () => {
  assert.deepEqual(start(['juliet@capulet.example'], ''), JULIET);
  assert.deepEqual(start(['Juliet@Capulet.Example', 'juliet@capulet.example'], ''), JULIET); // the same twice is one
  assert.deepEqual(start(['juliet@capulet.example', 'juliet@montague.example'], ''), JULIET); // one of this domain
});

test('XEP-0178 §2: several addresses, and the one named', () => {
  const both = ['juliet@capulet.example', 'nurse@capulet.example'];
  assert.equal((start(both, '') as { condition?: string }).condition, 'invalid-authzid');
  assert.deepEqual(start(both, 'nurse@capulet.example'), { kind: 'need_account_check', username: 'nurse' });
  assert.deepEqual(start(both, 'JULIET'), JULIET);
});

test('XEP-0178 §2: an identity the certificate is not for', () => {
  for (const authzid of [
    'romeo@capulet.example',
    'juliet@montague.example',
    'juliet@capulet.example/x',
    'capulet.example',
    'ju liet',
    '@',
  ]) {
    assert.deepEqual(
      start(['juliet@capulet.example', 'juliet@montague.example'], authzid),
      { kind: 'failure', condition: 'invalid-authzid' },
      authzid,
    );
  }
});

test('XEP-0178 §2: no address of this domain', () => {
  for (const addresses of [
    [],
    ['juliet@montague.example'],
    ['capulet.example'],
    ['juliet@capulet.example/balcony'],
    ['"@capulet.example'],
    ['juliet'],
  ]) {
    assert.deepEqual(start(addresses, ''), { kind: 'failure', condition: 'not-authorized' });
    assert.deepEqual(start(addresses, 'juliet'), { kind: 'failure', condition: 'not-authorized' });
  }
});

test('the account must be there and may log in', () => {
  for (const isThere of [true, false]) {
    const exchange = startMechanism('EXTERNAL', saslContext({ certificateAddresses: ['juliet@capulet.example'] }))!;
    exchange.start(Buffer.alloc(0));
    assert.deepEqual(
      exchange.verified(isThere),
      isThere ? { kind: 'success', username: 'juliet' } : { kind: 'failure', condition: 'not-authorized' },
    );
  }
});

test('RFC 4422 Appendix A: an identity that is no text', () => {
  assert.equal((start(['juliet@capulet.example'], 'juliet\0') as { condition?: string }).condition, 'malformed-request');
  const exchange = startMechanism('EXTERNAL', saslContext({ certificateAddresses: ['juliet@capulet.example'] }))!;
  assert.deepEqual(exchange.start(Buffer.of(0xff)), { kind: 'failure', condition: 'malformed-request' });
});

test('RFC 6120 §13.7.1.4: addresses are read from xmppAddr entries and nowhere else', () => {
  assert.deepEqual(parseCertificateAddresses(ONE_ADDRESS), ['juliet@capulet.example']);
  assert.deepEqual(parseCertificateAddresses(TWO_ADDRESSES), ['juliet@capulet.example', 'nurse@capulet.example']);
  assert.deepEqual(parseCertificateAddresses(LOOK_ALIKES), []);
  assert.deepEqual(parseCertificateAddresses(NO_ADDRESS), []); // CVE-2025-59154: the common name says nothing
  assert.deepEqual(certificateUsernames(saslContext({ certificateAddresses: parseCertificateAddresses(TWO_ADDRESSES) })), [
    'juliet',
    'nurse',
  ]);
});

test('what is no certificate has no addresses', () => {
  for (const bytes of [
    Buffer.alloc(0),
    Buffer.from('juliet@capulet.example'),
    ONE_ADDRESS.subarray(1),
    ONE_ADDRESS.subarray(0, -1),
    Buffer.alloc(MAX_CERTIFICATE_BYTES + 1),
  ]) {
    assert.deepEqual(parseCertificateAddresses(bytes), []);
  }
});

test('damaged certificates neither throw nor yield an address they do not spell out', () => {
  fc.assert(
    fc.property(fc.nat(ONE_ADDRESS.length - 1), fc.integer({ min: 0, max: 255 }), (at, value) => {
      const damaged = Buffer.from(ONE_ADDRESS);
      damaged[at] = value;
      for (const address of parseCertificateAddresses(damaged)) assert.ok(damaged.includes(address));
    }),
    { seed: 178, numRuns: 3000 },
  );
});
