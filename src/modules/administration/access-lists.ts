/**
 * With whom accounts of a host may exchange stanzas. An entry is an address as in privacy lists; the most particular counts first, but
 * as all entries of a list mean the same, one that matches is enough. XEP-0133 §4.11, §4.12; XEP-0016 §2.1
 *
 * The server itself and its admins can always be reached; accounts of this server need not be named where only some are let in.
 */
import type { AccountContext } from '../../core/context.ts';
import { DROP } from '../../core/hooks.ts';
import type { Host } from '../../core/host.ts';
import { hostSetting } from '../../core/host-settings.ts';
import { configuredAdmins } from '../../core/roles.ts';
import type { Jid } from '../../xmpp/jid.ts';
import { StanzaError } from '../../xmpp/stanza-error.ts';
import type { Stanza } from '../../xmpp/stanza.ts';

export const LISTS = ['blacklist', 'whitelist'] as const;
export type ListName = (typeof LISTS)[number];
/** As seen from the accounts: `in` is what comes for them. */
export const DIRECTIONS = ['both', 'in', 'out'] as const;
export type ListDirection = (typeof DIRECTIONS)[number];

/** Addresses, normalised. */
export type AccessLists = Readonly<Record<ListName, Readonly<Record<ListDirection, readonly string[]>>>>;

export const ACCESS = hostSetting<AccessLists>('access_lists');

export const NO_LISTS: AccessLists = { blacklist: { both: [], in: [], out: [] }, whitelist: { both: [], in: [], out: [] } };

interface Rules {
  readonly black: ReadonlySet<string>;
  /** Undefined: everybody. */
  readonly white: ReadonlySet<string> | undefined;
}

interface Compiled {
  readonly version: number;
  /** Undefined where there is nothing to look at. */
  readonly rules: { readonly in: Rules; readonly out: Rules } | undefined;
}

const known = new WeakMap<Host, Compiled>();

/** Worked out once per change. */
function rulesOf(host: Host): Compiled['rules'] {
  const { stored } = host;
  let compiled = known.get(host);
  if (compiled === undefined || compiled.version !== stored.version) {
    const lists = stored.get(ACCESS);
    const rules = lists === undefined ? undefined : { in: compile(lists, 'in'), out: compile(lists, 'out') };
    known.set(host, (compiled = { version: stored.version, rules }));
  }
  return compiled.rules;
}

function compile({ blacklist, whitelist }: AccessLists, direction: 'in' | 'out'): Rules {
  const white = new Set([...whitelist.both, ...whitelist[direction]]);
  return { black: new Set([...blacklist.both, ...blacklist[direction]]), white: white.size === 0 ? undefined : white };
}

/** XEP-0016 §2.1: full address, bare address, domain with resource, domain. */
function isOn(list: ReadonlySet<string>, { full, bare, domain, resource }: Jid): boolean {
  return list.has(full) || list.has(bare) || list.has(domain) || (resource !== '' && list.has(`${domain}/${resource}`));
}

function isAllowed({ black, white }: Rules, jid: Jid, { host: { config } }: AccountContext): boolean {
  const isServed = config.hosts.some(({ domain }) => domain === jid.domain);
  if (isServed && (jid.local === '' || configuredAdmins(config).has(jid.bare))) return true;
  if (isOn(black, jid)) return false;
  return white === undefined || isServed || isOn(white, jid);
}

export function guardDeparture(stanza: Stanza, account: AccountContext): Stanza | StanzaError | typeof DROP {
  const rules = rulesOf(account.host);
  if (rules === undefined || stanza.to.bare === account.bare || isAllowed(rules.out, stanza.to, account)) return stanza;
  return stanza.mayBeAnsweredWithError ? new StanzaError('policy-violation', 'The operator of this server does not allow it') : DROP;
}

export function guardArrival(stanza: Stanza, account: AccountContext): Stanza | StanzaError | typeof DROP {
  const rules = rulesOf(account.host);
  if (rules === undefined || stanza.from.bare === account.bare || stanza.type === 'error' || isAllowed(rules.in, stanza.from, account))
    return stanza; // errors are our own, for what may not leave
  if (stanza.kind === 'presence') return DROP;
  return stanza.mayBeAnsweredWithError ? new StanzaError('policy-violation') : DROP;
}
