/** Where the server of a domain is: RFC 6120 §3.2 with SRV records, XEP-0368 for those of direct TLS. */
import { randomInt } from 'node:crypto';
import { lookup, Resolver } from 'node:dns/promises';
import { isIP } from 'node:net';

/** A place to connect to. */
export interface ServicePlace {
  /** A name, or an IP address. */
  readonly host: string;
  readonly port: number;
  readonly isDirectTls: boolean;
}

/** What the names of a domain come to. `none`: it says itself that there is no such service, or there is no such domain. */
export type ServiceAnswer =
  | { readonly kind: 'places'; readonly places: readonly ServicePlace[] }
  | { readonly kind: 'none'; readonly reason: string }
  /** The name servers do not answer: it may be otherwise in a moment. */
  | { readonly kind: 'failed'; readonly reason: string };

/** The part of DNS that is needed; each rejects with a code as node:dns does. */
export interface NameService {
  srv(name: string): Promise<readonly SrvRecord[]>;
  /** Of both families, those to be tried first in front. */
  addresses(name: string): Promise<readonly string[]>;
}

export interface SrvRecord {
  readonly name: string;
  readonly port: number;
  readonly priority: number;
  readonly weight: number;
}

/** Records and addresses that are looked at, whatever a zone holds. */
const MAX_PLACES = 16;
const DEFAULT_PORT = 5269;
/** There is a name, but not with such records; or there is none. */
const ABSENT: ReadonlySet<string> = new Set(['ENOTFOUND', 'ENODATA', 'EBADNAME']);

export interface NameServiceOptions {
  /** Addresses, with a port or without; empty: those of the system. */
  readonly servers: readonly string[];
  /** Of one question to one server. */
  readonly timeoutMs: number;
}

/** DNS as Node asks it. Addresses come from the system (its hosts file included) unless servers are named. */
export function makeNameService({ servers, timeoutMs }: NameServiceOptions): NameService {
  const resolver = new Resolver({ timeout: timeoutMs, tries: 2 });
  if (servers.length > 0) resolver.setServers([...servers]);
  return {
    srv: (name) => resolver.resolveSrv(name),
    async addresses(name) {
      if (isIP(name) !== 0) return [name];
      if (servers.length === 0) return (await lookup(name, { all: true, order: 'verbatim' })).map(({ address }) => address);
      const [six, four] = await Promise.allSettled([resolver.resolve6(name), resolver.resolve4(name)]);
      const found = [...(six.status === 'fulfilled' ? six.value : []), ...(four.status === 'fulfilled' ? four.value : [])];
      if (found.length === 0) throw (four as PromiseRejectedResult).reason;
      return found;
    },
  };
}

/**
 * The places of a domain in the order to be tried. Never rejects.
 *
 * @param domain as DNS writes it, or an IP address.
 */
export async function findService(
  domain: string,
  names: NameService,
  random: (below: number) => number = randomInt,
): Promise<ServiceAnswer> {
  const literal = domain.startsWith('[') ? domain.slice(1, -1) : domain;
  if (isIP(literal) !== 0) return { kind: 'places', places: [{ host: literal, port: DEFAULT_PORT, isDirectTls: false }] };
  const [direct, starttls] = await Promise.all([ask(names, `_xmpps-server._tcp.${domain}`), ask(names, `_xmpp-server._tcp.${domain}`)]);
  const records = [
    ...usable(direct).map((record) => ({ ...record, isDirectTls: true })),
    ...usable(starttls).map((record) => ({ ...record, isDirectTls: false })),
  ];
  if (records.length > 0) {
    const places = inOrder(records, random).slice(0, MAX_PLACES);
    return { kind: 'places', places: places.map(({ name, port, isDirectTls }) => ({ host: name, port, isDirectTls })) };
  }
  const failed = [direct, starttls].find((answer) => answer instanceof Error);
  if (failed instanceof Error) return { kind: 'failed', reason: failed.message };
  // A record that names the root says: no such service. Then the address records are not to be tried. RFC 2782, XEP-0368 §4
  if ([...(direct as SrvRecord[]), ...(starttls as SrvRecord[])].length > 0)
    return { kind: 'none', reason: 'the domain says that it has no XMPP server' };
  return { kind: 'places', places: [{ host: domain, port: DEFAULT_PORT, isDirectTls: false }] }; // RFC 6120 §3.2.2
}

/** The addresses of a place. Never rejects. */
export async function findAddresses(host: string, names: NameService): Promise<readonly string[] | Error> {
  try {
    return (await names.addresses(host)).slice(0, MAX_PLACES);
  } catch (error) {
    return error as Error;
  }
}

/** Whether there is no such name, as opposed to no answer. */
export function isAbsent(error: Error): boolean {
  return ABSENT.has((error as NodeJS.ErrnoException).code ?? '');
}

async function ask(names: NameService, name: string): Promise<readonly SrvRecord[] | Error> {
  try {
    return await names.srv(name);
  } catch (error) {
    return isAbsent(error as Error) ? [] : (error as Error);
  }
}

function usable(answer: readonly SrvRecord[] | Error): readonly SrvRecord[] {
  return answer instanceof Error ? [] : answer.filter(({ name }) => name !== '' && name !== '.');
}

/** RFC 2782: lowest priority first; among equals at random, in proportion to their weight. */
export function inOrder<R extends SrvRecord>(records: readonly R[], random: (below: number) => number): R[] {
  const ordered: R[] = [];
  const priorities = [...new Set(records.map(({ priority }) => priority))].sort((a, b) => a - b);
  for (const priority of priorities) {
    // Those of no weight first, so that they have a small chance.
    const left = records.filter((record) => record.priority === priority).sort((a, b) => a.weight - b.weight);
    while (left.length > 0) {
      const sum = left.reduce((total, { weight }) => total + weight, 0);
      const mark = sum === 0 ? 0 : random(sum + 1);
      let running = 0;
      const at = left.findIndex(({ weight }) => (running += weight) >= mark);
      ordered.push(...left.splice(Math.max(at, 0), 1));
    }
  }
  return ordered;
}
