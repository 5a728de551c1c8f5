/** What the configuration says of one other server. */
import type { Config } from '../config/config.ts';
import { asciiDomain } from '../xmpp/jid.ts';

/** Whether to speak with it at all. */
export function isDomainAllowed({ s2s }: Config, domain: string): boolean {
  if (s2s.block.some((pattern) => matches(pattern, domain))) return false;
  return s2s.allow.length === 0 || s2s.allow.some((pattern) => matches(pattern, domain));
}

function matches(pattern: string, domain: string): boolean {
  const ascii = asciiDomain(domain);
  return pattern.startsWith('*.') ? ascii.endsWith(asciiDomain(pattern.slice(2)).replace(/^/, '.')) : ascii === asciiDomain(pattern);
}

export function isDialbackAllowed(config: Config, domain: string): boolean {
  return config.remotes[domain]?.isDialback ?? config.s2s.isDialback;
}

export function isTlsRequired(config: Config, domain: string): boolean {
  return config.remotes[domain]?.isTlsRequired ?? config.s2s.isTlsRequired;
}
