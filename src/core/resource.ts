/** Resources the server chooses. */
import { randomText } from '../sasl/random.ts';

/** 128 random bits, so that nobody can guess where to send. RFC 6120 §7.6 */
export function randomResource(): string {
  return randomText(16);
}
