/** External components and users of the router listener: what the file's `[components]` and `[router_users]` sections say. */
import type { ConfigProblem } from './error.ts';
import { printRaw } from './file.ts';
import type { Section } from './file.ts';
import { nearestName } from './nearest.ts';
import { domain, duration, flag, list, oneOf, parseDomain, text } from './types.ts';
import type { ValueType } from './types.ts';

/** One external component. XEP-0114 */
export interface ComponentConfig {
  /** Domain that it names in its stream header; lower case. */
  readonly name: string;
  /** Further domains that are its own once it is connected. */
  readonly domains: readonly string[];
  readonly secret: string;
  /** For people, in service discovery. */
  readonly title: string | undefined;
  readonly isListed: boolean;
  /** Whether several connections share its stanzas, or only one may be there. */
  readonly multiple: 'refuse' | 'balance';
  /** What happens to messages while it is not connected; all else is refused. */
  readonly offline: 'bounce' | 'queue';
  readonly queueMs: number;
}

/** Who may use the router listener, and for what. */
export interface RouterUserConfig {
  readonly name: string;
  readonly secret: string;
  /** Names it may bind beside its own; '*': any but those of virtual hosts and components. */
  readonly binds: readonly string[];
  readonly mayBeDefault: boolean;
  readonly mayLog: boolean;
}

const secret = (): ValueType<string> =>
  text('text', 'a secret of 1 to 1000 characters', (input) => (/^[^\p{Cc}]{1,1000}$/u.test(input) ? input : undefined));

const title = (): ValueType<string> =>
  text('text', 'a name of at most 200 characters', (input) => (/^[^\p{Cc}]{1,200}$/u.test(input) ? input : undefined));

/** As `domain`, and names such as `sm`, by which components of a router call each other. */
const routerName = (): ValueType<string> =>
  text('name or *', 'a domain, a name, or * for any', (input) => (input === '*' ? input : parseDomain(input)));

/** The keys of a `[components."…"]` section, as the README lists them. */
export const COMPONENT_OPTIONS = {
  secret: { type: secret(), doc: 'What the component authenticates with. Required.' },
  domains: { type: list(domain()), doc: 'Further domains that are its own while it is connected; it may also connect under one of these.' },
  title: { type: title(), doc: 'Its name in service discovery.' },
  listed: { type: flag(), doc: 'Whether service discovery of the virtual hosts lists it while it is connected; default: true.' },
  multiple: {
    type: oneOf('refuse', 'balance'),
    doc: 'A second connection is refused with `conflict` (default), or shares the stanzas: each user’s always go to the same one.',
  },
  offline: {
    type: oneOf('bounce', 'queue'),
    doc: 'Messages for it while it is not connected come back with `remote-server-timeout` (default), or wait in the log of their sender.',
  },
  queue_time: {
    type: duration({ min: 1_000, max: 604_800_000 }),
    doc: 'How long they wait before they come back after all; default: `1h`.',
  },
} as const satisfies Record<string, { type: ValueType<unknown>; doc: string }>;

/** The keys of a `[router_users."…"]` section, as the README lists them. */
export const ROUTER_USER_OPTIONS = {
  secret: { type: secret(), doc: 'Its password (DIGEST-MD5). Required.' },
  bind: { type: list(routerName()), doc: 'Names it may bind beside that of the user; `*`: any that no virtual host and no component has.' },
  default_route: { type: flag(), doc: 'Whether it may take the stanzas for all other domains, as jabberd2’s s2s does; default: false.' },
  log: { type: flag(), doc: 'Whether it may see a copy of everything between users of the router; default: false.' },
} as const satisfies Record<string, { type: ValueType<unknown>; doc: string }>;

const QUEUE_MS = 3_600_000;

type Sections = ReadonlyMap<string, Section>;

/** Reads `[components]`; what is wrong goes to `problems`. @param hosts domains of the virtual hosts. */
export function makeComponents(
  sections: Sections,
  hosts: readonly string[],
  problems: ConfigProblem[],
): Readonly<Record<string, ComponentConfig>> {
  const components: Record<string, ComponentConfig> = {};
  const owners = new Map<string, string>(hosts.map((host) => [host, 'a virtual host']));
  for (const [written, section] of sections) {
    const key = `components."${written}"`;
    const name = parseDomain(written);
    if (name === undefined) {
      problems.push({ code: 'ERR_CONFIG_VALUE', key, reason: 'expected a domain name' });
      continue;
    }
    const read = reader(key, section, COMPONENT_OPTIONS, problems);
    const secret = required(key, read('secret', COMPONENT_OPTIONS.secret.type, undefined), section, problems);
    const domains = read('domains', COMPONENT_OPTIONS.domains.type, []);
    for (const each of [name, ...domains]) {
      const owner = owners.get(each);
      if (owner !== undefined) problems.push({ code: 'ERR_CONFIG_CONFLICT', key, reason: `'${each}' is also ${owner}` });
      owners.set(each, `of the component ${name}`);
    }
    components[name] = {
      name,
      domains,
      secret,
      title: read('title', COMPONENT_OPTIONS.title.type, undefined),
      isListed: read('listed', COMPONENT_OPTIONS.listed.type, true),
      multiple: read('multiple', COMPONENT_OPTIONS.multiple.type, 'refuse'),
      offline: read('offline', COMPONENT_OPTIONS.offline.type, 'bounce'),
      queueMs: read('queue_time', COMPONENT_OPTIONS.queue_time.type, QUEUE_MS),
    };
  }
  return components;
}

/** Reads `[router_users]`; what is wrong goes to `problems`. */
export function makeRouterUsers(sections: Sections, problems: ConfigProblem[]): Readonly<Record<string, RouterUserConfig>> {
  const users: Record<string, RouterUserConfig> = {};
  for (const [name, section] of sections) {
    const key = `router_users."${name}"`;
    if (!/^[\p{L}\p{N}._@-]{1,256}$/u.test(name))
      problems.push({ code: 'ERR_CONFIG_VALUE', key, reason: 'expected a name of letters, digits, . _ @ and -' });
    const read = reader(key, section, ROUTER_USER_OPTIONS, problems);
    users[name] = {
      name,
      secret: required(key, read('secret', ROUTER_USER_OPTIONS.secret.type, undefined), section, problems),
      binds: read('bind', ROUTER_USER_OPTIONS.bind.type, []),
      mayBeDefault: read('default_route', ROUTER_USER_OPTIONS.default_route.type, false),
      mayLog: read('log', ROUTER_USER_OPTIONS.log.type, false),
    };
  }
  return users;
}

type Read = <T, D>(name: string, type: ValueType<T>, fallback: D) => T | D;

function reader(prefix: string, section: Section, options: Readonly<Record<string, unknown>>, problems: ConfigProblem[]): Read {
  const known = Object.keys(options);
  for (const name of Object.keys(section)) {
    if (!known.includes(name))
      problems.push({
        code: 'ERR_CONFIG_UNKNOWN',
        key: `${prefix}.${name}`,
        reason: 'there is no such option',
        suggestion: nearestName(name, known),
      });
  }
  return (name, type, fallback) => {
    if (!(name in section)) return fallback;
    const result = type.schema.safeParse(section[name]);
    if (result.success) return result.data;
    const value = name === 'secret' ? {} : { value: printRaw(section[name]) };
    problems.push({ code: 'ERR_CONFIG_VALUE', key: `${prefix}.${name}`, ...value, reason: result.error.issues[0]!.message });
    return fallback;
  };
}

function required(prefix: string, secret: string | undefined, section: Section, problems: ConfigProblem[]): string {
  if (secret === undefined && !('secret' in section))
    problems.push({
      code: 'ERR_CONFIG_VALUE',
      key: `${prefix}.secret`,
      reason: 'is missing: whoever connects has to show that it is the right one',
    });
  return secret ?? '';
}
