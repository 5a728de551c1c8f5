/**
 * Random text that nobody can guess, from the system's generator. Asking for it costs much the same for 16 bytes as for
 * a thousand (10 to 20 us of `randomBytes`), and a login takes four: so it is fetched in blocks.
 */
import { randomFillSync } from 'node:crypto';

const BLOCK_BYTES = 4_096;

const block = Buffer.alloc(BLOCK_BYTES);
let at = BLOCK_BYTES;

/** @param bytes at most 64. */
export function randomText(bytes: number, encoding: 'base64' | 'base64url' | 'hex' = 'base64url'): string {
  if (at + bytes > BLOCK_BYTES) {
    randomFillSync(block);
    at = 0;
  }
  const text = block.toString(encoding, at, at + bytes);
  block.fill(0, at, at + bytes); // nobody finds it here later
  at += bytes;
  return text;
}
