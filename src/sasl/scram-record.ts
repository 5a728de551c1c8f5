/** SCRAM's stored form of a password as plain text values: for store rows, other threads and the CLI. */
import type { ScramCredentials, ScramHash } from './scram.ts';

/** RFC 5802 §3; the binary values in Base64. */
export interface ScramRecord {
  readonly hash: ScramHash;
  readonly salt: string;
  readonly iterations: number;
  readonly storedKey: string;
  readonly serverKey: string;
}

export function recordOf({ hash, salt, iterations, storedKey, serverKey }: ScramCredentials): ScramRecord {
  const text = (bytes: Buffer): string => bytes.toString('base64');
  return { hash, salt: text(salt), iterations, storedKey: text(storedKey), serverKey: text(serverKey) };
}

export function credentialsOf({ hash, salt, iterations, storedKey, serverKey }: ScramRecord): ScramCredentials {
  const bytes = (text: string): Buffer => Buffer.from(text, 'base64');
  return { hash, salt: bytes(salt), iterations, storedKey: bytes(storedKey), serverKey: bytes(serverKey) };
}
