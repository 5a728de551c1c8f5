/**
 * What runs in a pool thread: work that would hold up a worker's event loop. One exported
 * function per kind of job; Piscina calls them by name.
 */
import { deriveScramCredentials, verifyPassword, type PreparedPassword, type ScramHash } from './sasl/scram.ts';
import { recordOf, credentialsOf, type ScramRecord } from './sasl/scram-record.ts';

const HASHES: readonly ScramHash[] = ['SHA-1', 'SHA-256', 'SHA-512'];

export interface DeriveJob {
  readonly password: PreparedPassword;
  readonly iterations: number;
}

/** Every stored form of one password. About 20 ms at 10,000 iterations. */
export function derive({ password, iterations }: DeriveJob): ScramRecord[] {
  return HASHES.map((hash) => recordOf(deriveScramCredentials(password, hash, iterations)));
}

export interface VerifyJob {
  readonly password: PreparedPassword;
  readonly record: ScramRecord;
}

export function verify({ password, record }: VerifyJob): boolean {
  return verifyPassword(password, credentialsOf(record));
}
