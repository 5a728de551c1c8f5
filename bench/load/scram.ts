/** The client's side of SCRAM (RFC 5802), with the slow part remembered: a load generator logs in with the same password again and again. */
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';

export type ScramMechanism = 'SCRAM-SHA-1' | 'SCRAM-SHA-256';

interface Keys {
  readonly clientKey: Buffer;
  readonly storedKey: Buffer;
}

/** By mechanism, iterations, salt and password. */
const known = new Map<string, Keys>();

export interface ScramExchange {
  readonly first: string;
  /** The answer to the server's challenge; throws where that is none. */
  answer(challenge: string): string;
}

export function scram(mechanism: ScramMechanism, local: string, password: string): ScramExchange {
  const bare = `n=${local},r=${randomBytes(12).toString('hex')}`;
  return {
    first: `n,,${bare}`,
    answer(challenge) {
      const { r, s, i } = Object.fromEntries(challenge.split(',').map((part) => [part[0], part.slice(2)]));
      if (r === undefined || s === undefined || i === undefined) throw new Error(`no SCRAM challenge: ${challenge}`);
      const { clientKey, storedKey } = keysOf(mechanism, password, s, Number(i));
      const final = `c=biws,r=${r}`;
      const signature = createHmac(hashOf(mechanism), storedKey).update(`${bare},${challenge},${final}`).digest();
      for (let at = 0; at < signature.length; at++) signature[at]! ^= clientKey[at]!;
      return `${final},p=${signature.toString('base64')}`;
    },
  };
}

function keysOf(mechanism: ScramMechanism, password: string, salt: string, iterations: number): Keys {
  const name = `${mechanism} ${iterations} ${salt} ${password}`;
  let keys = known.get(name);
  if (keys === undefined) {
    const hash = hashOf(mechanism);
    const salted = pbkdf2Sync(password, Buffer.from(salt, 'base64'), iterations, hash === 'sha1' ? 20 : 32, hash);
    const clientKey = createHmac(hash, salted).update('Client Key').digest();
    keys = { clientKey, storedKey: createHash(hash).update(clientKey).digest() };
    known.set(name, keys);
  }
  return keys;
}

function hashOf(mechanism: ScramMechanism): 'sha1' | 'sha256' {
  return mechanism === 'SCRAM-SHA-1' ? 'sha1' : 'sha256';
}
