/** What the configuration says of one other server. */
import type { Config } from '../config/config.ts';
import type { RemoteConfig } from '../config/remotes.ts';
import { asciiDomain } from '../xmpp/jid.ts';

/** Its own section of the configuration. Domains come from peers: they may be called anything. */
export function remoteOf({ remotes }: Config, domain: string): RemoteConfig | undefined {
  return Object.hasOwn(remotes, domain) ? remotes[domain] : undefined;
}

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
  return remoteOf(config, domain)?.isDialback ?? config.s2s.isDialback;
}

export function isTlsRequired(config: Config, domain: string): boolean {
  return remoteOf(config, domain)?.isTlsRequired ?? config.s2s.isTlsRequired;
}
