import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { hasExtendedMasterSecret, hashForServerEndPoint } from '../../src/net/tls-facts.ts';
import { ECDSA_SHA512, ED25519, RSA_PSS_SHA1, RSA_PSS_SHA512, RSA_SHA1, RSA_SHA384 } from './certificates.ts';

test('RFC 5929 §4.1: the hash of the certificate signature, but SHA-256 in place of SHA-1', () => {
  for (const [pem, hash] of [
    [RSA_SHA1, 'sha256'],
    [RSA_SHA384, 'sha384'],
    [ECDSA_SHA512, 'sha512'],
    [RSA_PSS_SHA1, 'sha256'],
    [RSA_PSS_SHA512, 'sha512'],
  ] as const) {
    const certificate = new X509Certificate(pem);
    assert.deepEqual(hashForServerEndPoint(certificate), createHash(hash).update(certificate.raw).digest(), hash);
  }
});

test('RFC 5929 §4.1: without a hash function in the signature there is no binding', () => {
  assert.equal(hashForServerEndPoint(new X509Certificate(ED25519)), undefined);
});

test('a session that cannot be read has no extended master secret', () => {
  for (const session of [
    Buffer.alloc(0),
    Buffer.from('30', 'hex'),
    Buffer.from('3000', 'hex'),
    Buffer.from('3004ad020201', 'hex'),
    Buffer.alloc(100, 0xff),
  ]) {
    assert.equal(hasExtendedMasterSecret(session), false, session.toString('hex'));
  }
});
