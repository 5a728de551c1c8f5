/** Resources the server chooses. */
import { randomBytes } from 'node:crypto';

/** 96 random bits, so that nobody can guess where to send. RFC 6120 §7.6 */
export function randomResource(): string {
  return randomBytes(12).toString('base64url');
}
