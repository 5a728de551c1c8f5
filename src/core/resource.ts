/** Resources the server chooses. */
import { randomBytes } from 'node:crypto';

/** 128 random bits, so that nobody can guess where to send. RFC 6120 §7.6 */
export function randomResource(): string {
  return randomBytes(16).toString('base64url');
}
