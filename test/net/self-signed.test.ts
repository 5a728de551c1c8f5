import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { ensureCertificate, makeSelfSigned } from '../../src/net/self-signed.ts';

const DAY_MS = 24 * 3600 * 1000;

function temporary(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'rookery-net-'));
  t.after(() => rmSync(directory, { recursive: true }));
  return directory;
}

test('a self-signed certificate verifies with its own key, fits its private key and is no authority', () => {
  const { certificate, key } = makeSelfSigned(['capulet.lit']);
  const x509 = new X509Certificate(certificate);
  assert.ok(x509.verify(x509.publicKey));
  assert.ok(x509.checkPrivateKey(createPrivateKey(key)));
  assert.equal(x509.ca, false);
  assert.deepEqual(x509.keyUsage, ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
  assert.equal(x509.publicKey.asymmetricKeyDetails?.namedCurve, 'prime256v1');
});

test('it covers every domain and the services below each, but not below a single label', () => {
  const { certificate } = makeSelfSigned(['capulet.lit', 'münchen.example', 'localhost', '192.0.2.7', '[2001:db8::1]']);
  const x509 = new X509Certificate(certificate);
  for (const host of ['capulet.lit', 'rooms.capulet.lit', 'xn--mnchen-3ya.example', 'localhost']) assert.ok(x509.checkHost(host), host);
  for (const host of ['montague.lit', 'a.b.capulet.lit', 'a.localhost']) assert.equal(x509.checkHost(host), undefined, host);
  for (const address of ['192.0.2.7', '2001:db8::1']) assert.ok(x509.checkIP(address), address);
});

test('it is valid from a little before now for two years, also across 2050', () => {
  for (const now of [Date.UTC(2026, 0, 31, 12), Date.UTC(2049, 5, 1), Date.UTC(2051, 0, 1)]) {
    const x509 = new X509Certificate(makeSelfSigned(['capulet.lit'], now).certificate);
    assert.equal(x509.validFromDate.getTime(), now - 3_600_000);
    assert.equal(x509.validToDate.getTime(), now + 730 * DAY_MS);
  }
});

test('two certificates share neither key nor serial number', () => {
  const [first, second] = [0, 1].map(() => new X509Certificate(makeSelfSigned(['capulet.lit']).certificate));
  assert.notEqual(first!.serialNumber, second!.serialNumber);
  assert.notDeepEqual(first!.publicKey.export({ format: 'jwk' }), second!.publicKey.export({ format: 'jwk' }));
});

test('ensureCertificate makes files for this user only, in a directory it makes', (t) => {
  const directory = join(temporary(t), 'data', 'tls');
  const made = ensureCertificate(directory, ['capulet.lit']);
  assert.equal(made.isNew, true);
  assert.equal(statSync(made.keyFile).mode & 0o777, 0o600);
  assert.equal(statSync(made.certificateFile).mode & 0o777, 0o600);
  assert.equal(statSync(directory).mode & 0o777, 0o700);
  assert.equal(new X509Certificate(readFileSync(made.certificateFile)).fingerprint256, made.fingerprint);
});

test('ensureCertificate keeps a certificate that is good, for clients may have pinned it', (t) => {
  const directory = temporary(t);
  const first = ensureCertificate(directory, ['capulet.lit', 'montague.lit', '192.0.2.7']);
  const again = ensureCertificate(directory, ['montague.lit', '192.0.2.7']);
  assert.deepEqual(again, { ...first, isNew: false });
});

test('ensureCertificate replaces one that lacks a domain, expires within 30 days, or does not fit its key', (t) => {
  const directory = temporary(t);
  const now = Date.now();
  const first = ensureCertificate(directory, ['capulet.lit'], now);
  const second = ensureCertificate(directory, ['capulet.lit', 'montague.lit'], now);
  assert.ok(second.isNew && second.fingerprint !== first.fingerprint);
  const late = now + 701 * DAY_MS;
  assert.equal(ensureCertificate(directory, ['capulet.lit'], now + 699 * DAY_MS).isNew, false);
  assert.equal(ensureCertificate(directory, ['capulet.lit'], late).isNew, true);
  writeFileSync(second.keyFile, makeSelfSigned(['capulet.lit']).key);
  assert.equal(ensureCertificate(directory, ['capulet.lit'], late).isNew, true);
  writeFileSync(second.certificateFile, 'not a certificate');
  assert.equal(ensureCertificate(directory, ['capulet.lit'], late).isNew, true);
});

test('ensureCertificate closes a key file that had been opened to others', (t) => {
  const directory = temporary(t);
  const { keyFile } = ensureCertificate(directory, ['capulet.lit']);
  chmodSync(keyFile, 0o644);
  assert.equal(ensureCertificate(directory, ['capulet.lit']).isNew, false);
  assert.equal(statSync(keyFile).mode & 0o777, 0o600);
});
