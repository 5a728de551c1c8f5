/** Who somebody is for commands: what the configuration and the administrators of a host say of an address. */
import type { Config } from '../config/config.ts';
import { parseJid, type Jid } from '../xmpp/jid.ts';
import type { PlainCaller } from './command.ts';
import type { Host } from './host.ts';
import { hostSetting } from './host-settings.ts';
import type { Session } from './session.ts';

/** Accounts that administer a host beside those of the configuration; bare JIDs. */
export const HOST_ADMINS = hostSetting<readonly string[]>('admins');

/** For each account that is an admin by the configuration: the domains it administers; undefined: all. */
type Admins = ReadonlyMap<string, readonly string[] | undefined>;

const known = new WeakMap<Config, Admins>();

/** Kept for as long as the configuration is in use. */
export function configuredAdmins(config: Config): Admins {
  let admins = known.get(config);
  if (admins === undefined) {
    const made = new Map<string, readonly string[] | undefined>();
    for (const { domain, admins: own } of config.hosts)
      for (const bare of normalized(own)) made.set(bare, [...(made.get(bare) ?? []), domain]);
    for (const bare of normalized(config.admins)) made.set(bare, undefined);
    known.set(config, (admins = made));
  }
  return admins;
}

/** Bare JIDs of all who administer the host. */
export function adminsOf({ config, domain, stored }: Host): readonly string[] {
  const admins = new Set(stored.get(HOST_ADMINS));
  for (const [bare, domains] of configuredAdmins(config)) if (domains === undefined || domains.includes(domain)) admins.add(bare);
  return [...admins];
}

function normalized(addresses: readonly string[]): string[] {
  return addresses.flatMap((address) => parseJid(address)?.bare ?? []);
}

/**
 * Who asks `host` for something.
 *
 * @param session the sender's, where it is a client of this server; without one it is an entity of another server, whatever its
 *   address says.
 * @param hosts all of the worker, loaded.
 */
export function callerOf(host: Host, from: Jid, session: Session | undefined): PlainCaller {
  const jid = from.full;
  if (session === undefined) return { role: 'remote', name: from.bare, jid };
  if (session.identity.mechanism === 'ANONYMOUS') return { role: 'anonymous', name: from.bare, jid };
  const admins = configuredAdmins(host.config);
  const isStored = host.stored.get(HOST_ADMINS)?.includes(from.bare) ?? false;
  if (!admins.has(from.bare) && !isStored) return { role: 'user', name: from.bare, jid };
  const configured = admins.get(from.bare);
  if (admins.has(from.bare) && configured === undefined) return { role: 'admin', name: from.bare, jid };
  const domains = [...(configured ?? []), ...(isStored ? [host.domain] : [])];
  return { role: 'admin', name: from.bare, jid, domains: [...new Set(domains)] };
}
