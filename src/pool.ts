/**
 * What runs in a pool thread: work that would hold up a worker's event loop. One exported
 * function per kind of job; Piscina calls them by name.
 */
import type { SiftJob } from './log/sift.ts';
import { deriveScramCredentials, verifyPassword, type PreparedPassword, type ScramHash } from './sasl/scram.ts';
import type { ExportJob } from './server/export-job.ts';
import type { Inspection } from './server/inspect-store.ts';
import { inspectPicture as inspect, type Picture, type PictureJob } from './xmpp/picture.ts';
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

/** Sends one account as XEP-0227. What it needs is loaded here only: other jobs do without. */
export async function exportAccount(job: ExportJob): Promise<void> {
  await (await import('./server/export-job.ts')).runExport(job);
}

/** Reads a whole data file; an error that the operator can mend comes back as a value, since threads keep no codes of errors. */
export async function inspectStore(path: string): Promise<Inspection | { readonly code: string; readonly message: string }> {
  const { inspectDataFile } = await import('./server/inspect-store.ts');
  try {
    return await inspectDataFile(path);
  } catch (error) {
    const { name, code, message } = error as Error & { code: string };
    if (name !== 'StoreError') throw error;
    return { code, message };
  }
}

/** Which messages of an archive match: a few hundred at a time, a millisecond or two. */
export async function sift(job: SiftJob): Promise<number[]> {
  return (await import('./log/sift.ts')).siftRows(job);
}

/** Type, size and hash of an image: a hundred kilobytes of base64 as a rule. */
export function inspectPicture(job: PictureJob): Picture | undefined {
  return inspect(job);
}
