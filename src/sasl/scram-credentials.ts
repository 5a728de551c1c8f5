/**
 * What a server keeps of a password, and how it is made. RFC 5802 §3.
 *
 * Deriving costs `iterations` times two hashes of CPU (about 10 ms for 10,000 of SHA-256), so
 * these functions belong into a pool thread; none of them waits for anything.
 */
import { createHmac, hash as digest, pbkdf2Sync, randomBytes, timingSafeEqual } from 'node:crypto';

export type ScramHash = 'SHA-1' | 'SHA-256' | 'SHA-512';

/** Name for node:crypto and output size of each hash. */
export const SCRAM_HASHES = {
  'SHA-1': { algorithm: 'sha1', bytes: 20 },
  'SHA-256': { algorithm: 'sha256', bytes: 32 },
  'SHA-512': { algorithm: 'sha512', bytes: 64 },
} as const satisfies Record<ScramHash, { readonly algorithm: string; readonly bytes: number }>;

/** RFC 5802 §5.1, RFC 7677 §4 */
export const MIN_SCRAM_ITERATIONS = 4096;
/** Of salts made here, and of made-up ones, which must look the same. */
export const SALT_BYTES = 16;

export interface ScramCredentials {
  readonly hash: ScramHash;
  readonly salt: Buffer;
  readonly iterations: number;
  readonly storedKey: Buffer;
  readonly serverKey: Buffer;
}

/**
 * A password in the one form it is hashed in: the result of `opaqueString` in `src/xmpp/precis.ts`, which has this
 * shape. A plain string does not fit, since a password hashed as it was typed may never be matched by a client
 * that prepared it. RFC 5802 §2.2
 */
export type PreparedPassword = string & { readonly opaqueString: true };

/** @param salt left out for new credentials: random then. */
export function deriveScramCredentials(
  password: PreparedPassword,
  hash: ScramHash,
  iterations: number,
  salt: Buffer = randomBytes(SALT_BYTES),
): ScramCredentials {
  const { algorithm, bytes } = SCRAM_HASHES[hash];
  return credentialsFrom(pbkdf2Sync(password, salt, iterations, bytes, algorithm), hash, iterations, salt);
}

/** The same from a password that was salted and hashed elsewhere. */
export function credentialsFrom(saltedPassword: Buffer, hash: ScramHash, iterations: number, salt: Buffer): ScramCredentials {
  const { algorithm } = SCRAM_HASHES[hash];
  const storedKey = digest(algorithm, hmac(hash, saltedPassword, 'Client Key'), 'buffer');
  return { hash, salt, iterations, storedKey, serverKey: hmac(hash, saltedPassword, 'Server Key') };
}

/** Checks a password sent in the clear (PLAIN). Takes as long as deriving, whatever the outcome. */
export function verifyPassword(password: PreparedPassword, credentials: ScramCredentials): boolean {
  const derived = deriveScramCredentials(password, credentials.hash, credentials.iterations, credentials.salt);
  return equalInConstantTime(derived.storedKey, credentials.storedKey);
}

const NOBODYS_KEYS = randomBytes(2 * SCRAM_HASHES['SHA-512'].bytes);

/**
 * Credentials for an account that does not exist, so that the answers tell nobody: the same name gets the same salt
 * each time, and no password matches. Made for every login, so that the time taken is the same: one HMAC. CVE-2021-32921 and its kin.
 *
 * @param serverSecret at least 32 random bytes, the same on every worker and after every restart.
 * @param username normalised.
 * @param iterations what real accounts have.
 */
export function fakeScramCredentials(serverSecret: Buffer, username: string, hash: ScramHash, iterations: number): ScramCredentials {
  const { bytes } = SCRAM_HASHES[hash];
  return {
    hash,
    salt: createHmac('sha512', serverSecret).update(`rookery fake salt ${hash} ${username}`).digest().subarray(0, SALT_BYTES),
    iterations,
    // Nobody is ever shown anything made with these.
    storedKey: NOBODYS_KEYS.subarray(0, bytes),
    serverKey: NOBODYS_KEYS.subarray(bytes, 2 * bytes),
  };
}

export function hmac(hash: ScramHash, key: Buffer, text: string): Buffer {
  return createHmac(SCRAM_HASHES[hash].algorithm, key).update(text).digest();
}

/** Lengths are no secret. */
export function equalInConstantTime(one: Buffer, other: Buffer): boolean {
  return one.length === other.length && timingSafeEqual(one, other);
}
