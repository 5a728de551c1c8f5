/** Addresses of peers, in the forms that limits are counted by. */
import { isIPv6 } from 'node:net';

const MAPPED_PREFIX = '::ffff:';

/** IPv4 as such, also where a socket for both families shows it mapped into IPv6 (RFC 4291 §2.5.5.2). */
export function plainAddress(address: string): string {
  return address.startsWith(MAPPED_PREFIX) && address.includes('.') ? address.slice(MAPPED_PREFIX.length) : address;
}

/**
 * What limits count as one peer: an IPv4 address; of an IPv6 address the first 64 bits, which is the least
 * that one subscriber has to himself (RFC 6177 §2). Cost: O(length); one short string.
 *
 * @param address as Node gives it, already plain.
 */
export function addressKey(address: string): string {
  if (!isIPv6(address)) return address;
  const zone = address.indexOf('%');
  const [head = '', tail] = (zone < 0 ? address : address.slice(0, zone)).split('::');
  const groups = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const after = tail === '' ? 0 : tail.split(':').length + (tail.includes('.') ? 1 : 0);
    const zeros = 8 - groups.length - after;
    for (let i = 0; i < zeros; i++) groups.push('0');
    if (groups.length < 4) groups.push(...tail.split(':'));
  }
  return groups
    .slice(0, 4)
    .map((group) => parseInt(group, 16).toString(16))
    .join(':');
}
