/** The client's side of SCRAM (RFC 5802), for servers that offer no PLAIN; without channel binding. */
import assert from 'node:assert/strict';
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import type { StreamClient } from './stream-client.ts';
import { textOf } from './xml.ts';

const SASL = 'urn:ietf:params:xml:ns:xmpp-sasl';
const HASHES: readonly (readonly [string, string, number])[] = [
  ['SCRAM-SHA-1', 'sha1', 20],
  ['SCRAM-SHA-256', 'sha256', 32],
  ['SCRAM-SHA-512', 'sha512', 64],
];

/** Logs in with the first mechanism of the three that is offered, and checks the server's signature. */
export async function scramLogin(client: StreamClient, local: string, password: string, offered: readonly string[]): Promise<void> {
  const hash = HASHES.find(([name]) => offered.includes(name));
  if (hash === undefined) client.fail(`${client.name} knows none of the mechanisms offered: ${offered.join(', ')}`);
  const [mechanism, digest, length] = hash;
  const nonce = randomBytes(18).toString('base64');
  const firstBare = `n=${local.replaceAll('=', '=3D').replaceAll(',', '=2C')},r=${nonce}`;
  await client.sends(`<auth xmlns='${SASL}' mechanism='${mechanism}'>${base64(`n,,${firstBare}`)}</auth>`);
  const challenge = unbase64(textOf(await client.receives(`<challenge xmlns='${SASL}'>{any}</challenge>`)));
  const fields = new Map(challenge.split(',').map((field) => [field[0], field.slice(2)]));
  assert.ok(fields.get('r')!.startsWith(nonce), 'the nonce continues ours');
  const salted = pbkdf2Sync(password, Buffer.from(fields.get('s')!, 'base64'), Number(fields.get('i')), length, digest);
  const hmac = (key: Buffer, text: string) => createHmac(digest, key).update(text).digest();
  const clientKey = hmac(salted, 'Client Key');
  const storedKey = createHash(digest).update(clientKey).digest();
  const finalBare = `c=${base64('n,,')},r=${fields.get('r')!}`;
  const authMessage = `${firstBare},${challenge},${finalBare}`;
  const signature = hmac(storedKey, authMessage);
  const proof = Buffer.from(clientKey.map((byte, i) => byte ^ signature[i]!)).toString('base64');
  await client.sends(`<response xmlns='${SASL}'>${base64(`${finalBare},p=${proof}`)}</response>`);
  const success = await client.receives(`<success xmlns='${SASL}'>{any}</success>`);
  const expected = `v=${hmac(hmac(salted, 'Server Key'), authMessage).toString('base64')}`;
  assert.equal(unbase64(textOf(success)), expected, 'the server proves that it knows the password');
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const unbase64 = (text: string): string => Buffer.from(text, 'base64').toString();
