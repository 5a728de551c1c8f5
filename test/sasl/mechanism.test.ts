import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeSaslData, encodeSaslData, MAX_SASL_BYTES } from '../../src/sasl/base64.ts';
import { channelBindingTypes, MECHANISMS, mechanismsFor, startMechanism, type OfferFacts } from '../../src/sasl/mechanism.ts';
import { END_POINT, EXPORTER, saslContext } from './sasl-context.ts';

const SECURE: OfferFacts = { isSecure: true, channelBindings: ['tls-exporter'], hasTrustedClientCertificate: true, isAnonymousHost: true };

test('RFC 6120 §6.3.3: mechanisms are offered strongest first', () => {
  assert.deepEqual(mechanismsFor(SECURE), [...MECHANISMS]);
  assert.deepEqual(MECHANISMS.slice(0, 2), ['EXTERNAL', 'SCRAM-SHA-512-PLUS']);
});

test('RFC 6120 §13.8.3: what needs a secure channel is not offered without one', () => {
  assert.deepEqual(mechanismsFor({ ...SECURE, isSecure: false }), ['SCRAM-SHA-512', 'SCRAM-SHA-256', 'SCRAM-SHA-1', 'ANONYMOUS']);
});

test('each condition takes away its own mechanisms', () => {
  assert.ok(!mechanismsFor({ ...SECURE, hasTrustedClientCertificate: false }).includes('EXTERNAL'));
  assert.ok(!mechanismsFor({ ...SECURE, isAnonymousHost: false }).includes('ANONYMOUS')); // XEP-0175 §3
  assert.ok(!mechanismsFor({ ...SECURE, channelBindings: [] }).some((name) => name.endsWith('-PLUS')));
  assert.deepEqual(mechanismsFor({ ...SECURE, allow: ['PLAIN', 'SCRAM-SHA-1'] }), ['SCRAM-SHA-1', 'PLAIN']);
});

test('XEP-0440 §3: types of channel binding are advertised beside a mechanism that uses them only', () => {
  assert.deepEqual(channelBindingTypes(['SCRAM-SHA-1-PLUS'], [END_POINT, EXPORTER]), ['tls-server-end-point', 'tls-exporter']);
  assert.deepEqual(channelBindingTypes(['SCRAM-SHA-1', 'PLAIN'], [END_POINT, EXPORTER]), []);
});

test('OF-3273: a mechanism not advertised on this stream is not started', () => {
  for (const name of MECHANISMS) {
    assert.equal(startMechanism(name, saslContext({ offered: MECHANISMS.filter((other) => other !== name) })), undefined);
    assert.equal(startMechanism(name, saslContext())?.mechanism, name);
  }
  for (const name of ['', 'plain', 'DIGEST-MD5', 'X', 'SCRAM-SHA-224', 'SCRAM-MD5', '__proto__'])
    assert.equal(startMechanism(name, saslContext({ offered: [...MECHANISMS, name] })), undefined, name);
});

test('RFC 4422 §5.1: without an initial response the first challenge is empty', () => {
  const messages: Record<string, [message: string, kind: string]> = {
    PLAIN: ['\0juliet\0secret', 'need_password_check'],
    EXTERNAL: ['', 'need_account_check'],
    ANONYMOUS: ['', 'success'],
    'SCRAM-SHA-256': ['n,,n=juliet,r=abc', 'need_credentials'],
  };
  for (const [name, [message, kind]] of Object.entries(messages)) {
    const exchange = startMechanism(name, saslContext({ certificateAddresses: ['juliet@capulet.example'] }))!;
    assert.deepEqual(exchange.start(undefined), { kind: 'challenge', data: Buffer.alloc(0) });
    assert.equal(exchange.respond(Buffer.from(message)).kind, kind, name);
  }
});

test('a response nobody asked for fails the exchange for good', () => {
  const exchange = startMechanism('PLAIN', saslContext())!;
  exchange.start(Buffer.from('\0juliet\0secret'));
  assert.equal(exchange.respond(Buffer.alloc(0)).kind, 'failure');
  assert.throws(() => exchange.verified(true), /nothing was to be verified/);
  assert.equal(exchange.respond(Buffer.from('\0juliet\0secret')).kind, 'failure');
});

test('a success cannot be continued', () => {
  const exchange = startMechanism('PLAIN', saslContext())!;
  exchange.start(Buffer.from('\0juliet\0secret'));
  assert.equal(exchange.verified(true).kind, 'success');
  assert.equal(exchange.respond(Buffer.alloc(0)).kind, 'failure');
  assert.throws(() => exchange.verified(true));
});

test('answers out of order throw: only a bug of the caller can give them', () => {
  const fresh = () => startMechanism('SCRAM-SHA-256', saslContext())!;
  assert.throws(() => fresh().respond(Buffer.alloc(0)), /not started/);
  assert.throws(() => fresh().credentials(undefined), /no credentials were asked for/);
  const exchange = fresh();
  exchange.start(Buffer.from('n,,n=juliet,r=abc'));
  assert.throws(() => exchange.verified(true), /nothing was to be verified/);
  assert.throws(() => exchange.start(undefined), /started twice/);
});

test('RFC 4505: anonymous users get a name of their own; trace information is checked and dropped', () => {
  const names = new Set<string>();
  for (const trace of ['', 'sirhc', 'sirhc@capulet.example', 'é'.repeat(255), '𝒳'.repeat(255)]) {
    const step = startMechanism('ANONYMOUS', saslContext())!.start(Buffer.from(trace));
    assert.ok(step.kind === 'success');
    assert.match(step.username, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/); // XEP-0175 §3
    names.add(step.username);
  }
  assert.equal(names.size, 5);
  for (const trace of [Buffer.from('a'.repeat(256)), Buffer.from('a\0'), Buffer.of(0xff)]) {
    assert.deepEqual(startMechanism('ANONYMOUS', saslContext())!.start(trace), { kind: 'failure', condition: 'malformed-request' });
  }
});

test('RFC 6120 §6.4.2: base64 is canonical, without white space; "=" stands for zero bytes', () => {
  assert.deepEqual(decodeSaslData('='), Buffer.alloc(0));
  assert.deepEqual(decodeSaslData(''), Buffer.alloc(0));
  assert.deepEqual(decodeSaslData('AGp1bGlldABzZWNyZXQ='), Buffer.from('\0juliet\0secret'));
  for (const text of [
    '==',
    'AG',
    'AGp1bGlldABzZWNyZXQ',
    'AGp1bGlldABzZWNyZXR=',
    'AGp1 bGll',
    ' AGp1',
    'AGp1\n',
    'AG-_',
    'AGp1=',
    '=AGp',
    'é',
    'AA==AA==',
  ]) {
    assert.equal(decodeSaslData(text), undefined, JSON.stringify(text));
  }
  assert.equal(encodeSaslData(Buffer.alloc(0)), '=');
  assert.equal(encodeSaslData(Buffer.from('r=1')), 'cj0x');
  assert.equal(decodeSaslData(Buffer.alloc(MAX_SASL_BYTES).toString('base64'))?.length, MAX_SASL_BYTES);
  assert.equal(decodeSaslData(Buffer.alloc(MAX_SASL_BYTES + 1).toString('base64')), undefined);
});
