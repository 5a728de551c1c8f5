/**
 * Reads the configuration: what the embedding program set wins over the environment,
 * that over the file, and that over the defaults. Everything that is wrong is
 * collected and reported at once.
 */
import { dirname, resolve } from 'node:path';
import { makeComponents, makeRouterUsers } from './components.ts';
import type { Config, ConfigValues, HostConfig } from './config.ts';
import { ConfigError } from './error.ts';
import type { ConfigProblem } from './error.ts';
import { EMPTY_FILE, printRaw, readConfigFile } from './file.ts';
import type { ConfigFile } from './file.ts';
import { makeHost } from './hosts.ts';
import type { ModuleSchemas } from './hosts.ts';
import { nearestName } from './nearest.ts';
import { OPTIONS } from './options.ts';
import type { Option, OptionTree } from './options.ts';
import { makeRemotes } from './remotes.ts';
import { BUILT_IN_SHAPERS, BURST_SECONDS, makeShapers, NO_SHAPER } from './shapers.ts';
import { parseDomain, printValue } from './types.ts';

const ENV_PREFIX = 'ROOKERY_';

/** Where the value of an option came from; `name` is the variable, or the key of the file. */
export type Origin =
  | { readonly from: 'default' }
  | { readonly from: 'program' }
  | { readonly from: 'environment'; readonly name: string }
  | { readonly from: 'file'; readonly name: string };

/** A configuration, and where it came from. */
export interface LoadedConfig {
  readonly config: Config;
  /** Absolute; undefined without a file. */
  readonly file: string | undefined;
  /** By path in `Config`, e.g. `c2s.ports`. */
  readonly origins: ReadonlyMap<string, Origin>;
}

export interface LoadInput {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Wins over ROOKERY_CONFIG. */
  readonly file?: string | undefined;
  /** Without it the modules' sections are not looked at and no host has any: for programs that only need the rest. */
  readonly modules?: ModuleSchemas | undefined;
  /** Trusted to be of the right type; still checked against the other values. */
  readonly values?: ConfigValues | undefined;
  /** What relative paths of the environment are relative to; default: the current directory. Those of the file are relative to it. */
  readonly directory?: string | undefined;
}

/** One option with its place in `Config`. */
export interface PlacedOption {
  /** E.g. `c2s.ports`. */
  readonly path: string;
  readonly option: Option<unknown>;
}

/** All options in the order of the table. */
export const ALL_OPTIONS: readonly PlacedOption[] = placeOptions(OPTIONS, '');

function placeOptions(tree: OptionTree, prefix: string): PlacedOption[] {
  return Object.entries(tree).flatMap(([name, node]) =>
    isOption(node) ? [{ path: `${prefix}${name}`, option: node }] : placeOptions(node, `${prefix}${name}.`),
  );
}

function isOption(node: Option<unknown> | OptionTree): node is Option<unknown> {
  return typeof node['env'] === 'string';
}

/** The keys of the configuration file, without hosts and modules. */
export const FILE_KEYS: readonly string[] = ALL_OPTIONS.flatMap(({ option }) => option.key ?? []);

/**
 * Reads and checks everything.
 *
 * @throws ConfigError with every problem found; the operator can mend all of them.
 */
export function loadConfig(input: LoadInput): LoadedConfig {
  const problems: ConfigProblem[] = [];
  const directory = resolve(input.directory ?? '.');
  const path = input.file ?? (input.env['ROOKERY_CONFIG'] || undefined);
  const file = path === undefined ? undefined : resolve(directory, path);
  const contents: ConfigFile = file === undefined ? EMPTY_FILE : readConfigFile(file, FILE_KEYS, problems);
  checkVariables(input.env, problems);

  const origins = new Map<string, Origin>();
  const values: Record<string, unknown> = {};
  for (const { path, option } of ALL_OPTIONS) {
    const { value, origin } = readOption(path, option, input, contents, problems);
    origins.set(path, origin);
    const base = origin.from === 'file' && file !== undefined ? dirname(file) : directory;
    setAt(values, path, option.type.name === 'path' && typeof value === 'string' ? resolve(base, value) : value);
  }
  setAt(values, 'file', file);

  const draft = values as unknown as Config;
  const hostSections = readHostSections(contents, problems);
  if (origins.get('domains')?.from === 'default' && hostSections.size > 0) {
    setAt(values, 'domains', [...hostSections.keys()]);
    origins.set('domains', { from: 'file', name: 'hosts' });
  }
  for (const domain of hostSections.keys()) {
    if (!draft.domains.includes(domain)) {
      const reason = `there is a section for it, but the list of hosts (${printOrigin(origins.get('domains'))}) does not name it`;
      problems.push({ code: 'ERR_CONFIG_CONFLICT', key: `hosts."${domain}"`, reason, suggestion: nearestName(domain, draft.domains) });
    }
  }
  values['namedShapers'] = makeShapers(contents.shapers, problems);
  const { components, routerUsers } = input.values ?? {};
  values['components'] = makeComponents(withGiven(contents.components, components), draft.domains, problems);
  values['routerUsers'] = makeRouterUsers(withGiven(contents.routerUsers, routerUsers), problems);
  const absolutePath = (path: string): string => resolve(file === undefined ? directory : dirname(file), path);
  values['remotes'] = makeRemotes(contents.remotes, absolutePath, problems);
  tightenBeforeLogin(values, draft, origins);
  followRates(values, draft, origins);
  followOutbound(values, draft, origins);
  checkTogether(draft, problems);
  const hosts: HostConfig[] = draft.domains.map((domain) =>
    makeHost(
      {
        domain,
        section: hostSections.get(domain) ?? {},
        defaults: {
          registration: draft.accounts.registration,
          isAnonymous: draft.accounts.anonymousHosts.includes(domain),
          certificate: draft.tls.certificate,
          key: draft.tls.key,
          shapers: { users: draft.shaperRules.users, admins: draft.shaperRules.admins },
        },
        modules: contents.modules,
        schemas: input.modules,
        absolutePath,
      },
      problems,
    ),
  );
  values['hosts'] = hosts;
  checkShaperNames(draft, origins, problems);

  const [first, ...rest] = withoutRepetitions(problems);
  if (first !== undefined) throw new ConfigError([first, ...rest]);
  return { config: deepFreeze(draft), file, origins };
}

/** Sections of the file and of the program, which wins. */
function withGiven<T>(sections: ReadonlyMap<string, T>, given: Readonly<Record<string, T>> = {}): ReadonlyMap<string, T> {
  return new Map([...sections, ...Object.entries(given)]);
}

function checkVariables(env: LoadInput['env'], problems: ConfigProblem[]): void {
  const known = ALL_OPTIONS.map(({ option }) => option.env);
  for (const name of Object.keys(env)) {
    if (!name.startsWith(ENV_PREFIX) || known.includes(name)) continue;
    problems.push({ code: 'ERR_CONFIG_UNKNOWN', key: name, reason: 'there is no such variable', suggestion: nearestName(name, known) });
  }
}

/** An empty variable counts as not set: that is what container and service files make of an unset one. */
function readOption(
  path: string,
  option: Option<unknown>,
  { env, values }: LoadInput,
  file: ConfigFile,
  problems: ConfigProblem[],
): { value: unknown; origin: Origin } {
  const given = getAt(values, path);
  if (given !== undefined) return { value: given, origin: { from: 'program' } };
  const text = env[option.env];
  let raw: unknown;
  let origin: Origin = { from: 'default' };
  if (text !== undefined && text !== '') {
    raw = text;
    origin = { from: 'environment', name: option.env };
  } else if (option.key !== undefined && file.options.has(option.key)) {
    raw = file.options.get(option.key);
    origin = { from: 'file', name: option.key };
  }
  if (origin.from === 'default') return { value: option.default, origin };
  const result = option.type.schema.safeParse(raw);
  if (result.success) return { value: result.data, origin };
  for (const issue of result.error.issues)
    problems.push({ code: 'ERR_CONFIG_VALUE', key: printOrigin(origin), value: printRaw(raw), reason: issue.message });
  return { value: option.default, origin };
}

/** As the operator wrote it. */
export function printOrigin(origin: Origin | undefined): string {
  if (origin === undefined) return 'default';
  return origin.from === 'default' || origin.from === 'program' ? origin.from : origin.name;
}

function readHostSections(file: ConfigFile, problems: ConfigProblem[]): Map<string, Readonly<Record<string, unknown>>> {
  const sections = new Map<string, Readonly<Record<string, unknown>>>();
  for (const [name, section] of file.hosts) {
    const domain = parseDomain(name);
    if (domain === undefined) problems.push({ code: 'ERR_CONFIG_VALUE', key: `hosts."${name}"`, reason: 'expected a domain name' });
    else if (sections.has(domain))
      problems.push({ code: 'ERR_CONFIG_CONFLICT', key: `hosts."${name}"`, reason: 'there are two sections for this host' });
    else sections.set(domain, section);
  }
  return sections;
}

/** A default limit before login never exceeds the one after it, whatever the operator made that. */
function tightenBeforeLogin(values: Record<string, unknown>, { stanza }: Config, origins: ReadonlyMap<string, Origin>): void {
  for (const [name, limit] of Object.entries(stanza.afterLogin)) {
    const path = `stanza.beforeLogin.${name}`;
    if (origins.get(path)?.from === 'default') setAt(values, path, Math.min(limit, getAt(values, path) as number));
  }
}

/** A burst that is not set goes with the rate. */
function followRates(values: Record<string, unknown>, { shapers }: Config, origins: ReadonlyMap<string, Origin>): void {
  for (const name of BUILT_IN_SHAPERS) {
    for (const [rate, burst] of [
      ['bytesPerSecond', 'burstBytes'],
      ['stanzasPerSecond', 'burstStanzas'],
    ] as const) {
      const path = `shapers.${name}.${burst}`;
      const perSecond = shapers[name][rate];
      if (perSecond > 0 && origins.get(path)?.from === 'default') setAt(values, path, perSecond * BURST_SECONDS);
    }
  }
}

/** Looser limits of output are at least what the operator made the tighter ones. */
function followOutbound(values: Record<string, unknown>, { limits }: Config, origins: ReadonlyMap<string, Origin>): void {
  let least: number = limits.outboundBytes;
  for (const name of ['outboundHardBytes', 'outboundTotalBytes'] as const) {
    const path = `limits.${name}`;
    if (origins.get(path)?.from === 'default') setAt(values, path, Math.max(least, limits[name]));
    least = getAt(values, path) as number;
  }
}

function checkShaperNames(config: Config, origins: ReadonlyMap<string, Origin>, problems: ConfigProblem[]): void {
  const known = [NO_SHAPER, ...BUILT_IN_SHAPERS, ...Object.keys(config.namedShapers)];
  const check = (key: string, name: string): void => {
    if (known.includes(name)) return;
    problems.push({
      code: 'ERR_CONFIG_UNKNOWN',
      key,
      value: printRaw(name),
      reason: 'there is no such shaper',
      suggestion: nearestName(name, known),
    });
  };
  for (const [role, name] of Object.entries(config.shaperRules)) check(printOrigin(origins.get(`shaperRules.${role}`)), name);
  for (const { domain, shapers } of config.hosts) {
    for (const role of ['users', 'admins'] as const) {
      if (shapers[role] !== config.shaperRules[role]) check(`hosts."${domain}".shaper_${role}`, shapers[role]);
    }
  }
}

/** What is right alone but not together. */
function checkTogether(config: Config, problems: ConfigProblem[]): void {
  const conflict = (key: string, reason: string) => problems.push({ code: 'ERR_CONFIG_CONFLICT', key, reason });
  const taken = new Map<number, string>();
  for (const { path, option } of ALL_OPTIONS) {
    if (option.type.name !== OPTIONS.c2s.ports.type.name) continue;
    for (const port of getAt(config, path) as readonly number[]) {
      const other = taken.get(port);
      if (other !== undefined) conflict(option.env, `port ${port} is also in ${other}`);
      else if (port !== 0) taken.set(port, option.env);
    }
  }
  if ((config.tls.certificate === undefined) !== (config.tls.key === undefined))
    conflict('tls', 'ROOKERY_TLS_CERTIFICATE and ROOKERY_TLS_KEY belong together: set both or neither');
  for (const domain of config.accounts.anonymousHosts)
    if (!config.domains.includes(domain)) conflict('ROOKERY_ANONYMOUS_HOSTS', `'${domain}' is not one of the virtual hosts`);
  for (const [name, limit] of Object.entries(config.stanza.beforeLogin)) {
    const after = config.stanza.afterLogin[name as keyof Config['stanza']['afterLogin']];
    if (limit > after)
      conflict(
        OPTIONS.stanza.beforeLogin[name as keyof Config['stanza']['beforeLogin']].env,
        `must not be looser than after login (${after})`,
      );
  }
  if (config.limits.outboundBytes < config.stanza.afterLogin.maxBytes)
    conflict('ROOKERY_OUTBOUND_LIMIT', 'must have room for one stanza (ROOKERY_STANZA_SIZE)');
  if (config.limits.outboundHardBytes < config.limits.outboundBytes)
    conflict('ROOKERY_OUTBOUND_HARD_LIMIT', 'must not be less than what may be exceeded for a while (ROOKERY_OUTBOUND_LIMIT)');
  if (config.limits.outboundTotalBytes < config.limits.outboundHardBytes)
    conflict('ROOKERY_OUTBOUND_TOTAL', 'must have room for one connection (ROOKERY_OUTBOUND_HARD_LIMIT)');
  if (config.limits.mailboxBytes < config.stanza.afterLogin.maxBytes)
    conflict('ROOKERY_MAILBOX_SIZE', 'must have room for one stanza (ROOKERY_STANZA_SIZE)');
}

/** A shared module section is checked once per host. */
function withoutRepetitions(problems: readonly ConfigProblem[]): ConfigProblem[] {
  return [...new Map(problems.map((problem) => [JSON.stringify(problem), problem])).values()];
}

/** The value at `path` of nested data, e.g. `c2s.ports`; undefined where there is none. */
export function getAt(tree: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((node, name) => (node as Record<string, unknown> | undefined)?.[name], tree);
}

function setAt(tree: Record<string, unknown>, path: string, value: unknown): void {
  const names = path.split('.');
  const last = names.pop()!;
  let node = tree;
  for (const name of names) node = (node[name] ??= {}) as Record<string, unknown>;
  node[last] = value;
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const item of Object.values(value)) deepFreeze(item);
  return Object.freeze(value);
}

/** `value` of the option at `path` as an environment variable would hold it. */
export function printOption({ option }: PlacedOption, value: unknown): string {
  return printValue(option.type, value);
}
