/** From a new connection to the features behind login, as any client gets there; nothing in it is about drills. */
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import type { Frame } from '../../src/xml/frame.ts';
import type { Target, Wire } from './wire.ts';

const STREAMS = 'http://etherx.jabber.org/streams';
const SASL = 'urn:ietf:params:xml:ns:xmpp-sasl';
const HASHES: readonly (readonly [mechanism: string, digest: string, bytes: number])[] = [
  ['SCRAM-SHA-256', 'sha256', 32],
  ['SCRAM-SHA-1', 'sha1', 20],
];

/** Keys derived from a password, by salt and iterations: a client that comes back a hundred times derives them once. */
export type DerivedKeys = Map<string, Buffer>;

export interface Credentials {
  readonly local: string;
  readonly password: string;
  readonly keys: DerivedKeys;
}

/** Features of a stream: the children of `<stream:features/>`, and their text. */
export async function openStream(wire: Wire, { domain }: Target): Promise<Frame> {
  wire.write(`<?xml version='1.0'?><stream:stream to='${domain}' version='1.0' xmlns='jabber:client' xmlns:stream='${STREAMS}'>`);
  for (;;) {
    const frame = await wire.next();
    if (frame.kind === 'open') continue;
    if (frame.name === 'features' && frame.ns === STREAMS) return frame;
    throw new Error(`expected stream features, got <${frame.name}/> ${frame.body}`);
  }
}

/** RFC 6120 §6. Rejects with what the server said. */
export async function logIn(wire: Wire, features: Frame, credentials: Credentials): Promise<void> {
  const offered = [...features.body.matchAll(/<mechanism(?: [^>]*)?>([^<]+)</g)].map(([, name]) => name!);
  const hash = HASHES.find(([name]) => offered.includes(name));
  if (hash !== undefined) await scram(wire, hash, credentials);
  else if (offered.includes('PLAIN')) await plain(wire, credentials);
  else throw new Error(`none of these mechanisms is known here: ${offered.join(', ')}`);
  wire.restart();
}

async function plain(wire: Wire, { local, password }: Credentials): Promise<void> {
  wire.write(`<auth xmlns='${SASL}' mechanism='PLAIN'>${base64(`\0${local}\0${password}`)}</auth>`);
  await expect(wire, 'success');
}

/** RFC 5802, without channel binding. */
async function scram(
  wire: Wire,
  [mechanism, digest, bytes]: (typeof HASHES)[number],
  { local, password, keys }: Credentials,
): Promise<void> {
  const bare = `n=${local},r=${randomBytes(12).toString('hex')}`;
  wire.write(`<auth xmlns='${SASL}' mechanism='${mechanism}'>${base64(`n,,${bare}`)}</auth>`);
  const challenge = Buffer.from((await expect(wire, 'challenge')).body, 'base64').toString();
  const { r, s, i } = Object.fromEntries(challenge.split(',').map((part) => [part[0], part.slice(2)]));
  if (r === undefined || s === undefined || i === undefined) throw new Error('no SCRAM challenge');
  const name = `${digest} ${s} ${i}`;
  let salted = keys.get(name);
  if (salted === undefined) keys.set(name, (salted = pbkdf2Sync(password, Buffer.from(s, 'base64'), Number(i), bytes, digest)));
  const clientKey = createHmac(digest, salted).update('Client Key').digest();
  const storedKey = createHash(digest).update(clientKey).digest();
  const final = `c=biws,r=${r}`;
  const signature = createHmac(digest, storedKey).update(`${bare},${challenge},${final}`).digest();
  const proof = Buffer.from(clientKey.map((byte, at) => byte ^ signature[at]!));
  wire.write(`<response xmlns='${SASL}'>${base64(`${final},p=${proof.toString('base64')}`)}</response>`);
  await expect(wire, 'success');
}

async function expect(wire: Wire, name: string): Promise<Frame> {
  const frame = await wire.next();
  if (frame.name === name && frame.ns === SASL) return frame;
  throw new Error(`login: expected <${name}/>, got <${frame.name}>${frame.body}`);
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');
