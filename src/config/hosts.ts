/** Virtual hosts and modules: what the file's `[hosts]` and `[modules]` sections make of the defaults. */
import { z } from 'zod';
import type { HostConfig, ModuleConfig } from './config.ts';
import type { ConfigProblem } from './error.ts';
import { printRaw, sectionOrProblem } from './file.ts';
import type { Section } from './file.ts';
import { nearestName } from './nearest.ts';
import { bareAddress, flag, list, name, oneOf, optionalPath } from './types.ts';
import type { ValueType } from './types.ts';

/** What each module accepts in its section, by name. A module without options has `z.strictObject({})`. */
export type ModuleSchemas = Readonly<Record<string, z.ZodType>>;

/** The keys of a `[hosts."…"]` section besides `modules`, as the README lists them. */
export const HOST_OPTIONS = {
  registration: { type: oneOf('off', 'open'), doc: 'Whether anyone may create an account on this host; default: `accounts.registration`.' },
  anonymous: { type: flag(), doc: 'Whether anyone may log in without an account; default: whether `accounts.anonymous_hosts` names it.' },
  admins: { type: list(bareAddress()), doc: 'Addresses of accounts that may administer this host and no other, beside those in `admins`.' },
  certificate: { type: optionalPath(), doc: 'PEM file of the certificate chain of this host; default: `tls.certificate`.' },
  key: { type: optionalPath(), doc: 'PEM file of the private key; default: `tls.key`.' },
  shaper_users: { type: name(), doc: 'Name of the shaper of its users’ connections; default: `shaper_rules.users`.' },
  shaper_admins: { type: name(), doc: 'Name of the shaper of its admins’ connections; default: `shaper_rules.admins`.' },
} as const satisfies Record<string, { type: ValueType<unknown>; doc: string }>;

/** What a host gets where its own section says nothing. */
export interface HostDefaults {
  readonly registration: 'off' | 'open';
  readonly isAnonymous: boolean;
  readonly certificate: string | undefined;
  readonly key: string | undefined;
  readonly shapers: HostConfig['shapers'];
}

export interface HostSource {
  readonly domain: string;
  /** Its own section; empty without one. */
  readonly section: Section;
  readonly defaults: HostDefaults;
  /** `[modules]` of the whole file. */
  readonly modules: Section;
  /** Undefined: modules are not checked, and every host's `modules` is empty. */
  readonly schemas: ModuleSchemas | undefined;
  readonly absolutePath: (path: string) => string;
}

/** Builds one host; what is wrong goes to `problems`. */
export function makeHost({ domain, section, defaults, modules, schemas, absolutePath }: HostSource, problems: ConfigProblem[]): HostConfig {
  const prefix = `hosts."${domain}"`;
  const known = [...Object.keys(HOST_OPTIONS), 'modules'];
  for (const name of Object.keys(section)) {
    if (!known.includes(name))
      problems.push({
        code: 'ERR_CONFIG_UNKNOWN',
        key: `${prefix}.${name}`,
        reason: 'there is no such option of a host',
        suggestion: nearestName(name, known),
      });
  }
  const read = <T>(name: string, type: ValueType<T>, fallback: T): T => {
    if (!(name in section)) return fallback;
    const result = type.schema.safeParse(section[name]);
    if (result.success) return result.data;
    problems.push({
      code: 'ERR_CONFIG_VALUE',
      key: `${prefix}.${name}`,
      value: printRaw(section[name]),
      reason: result.error.issues[0]!.message,
    });
    return fallback;
  };
  const hasOwnPair = 'certificate' in section || 'key' in section;
  const certificate = hasOwnPair ? read('certificate', HOST_OPTIONS.certificate.type, undefined) : defaults.certificate;
  const key = hasOwnPair ? read('key', HOST_OPTIONS.key.type, undefined) : defaults.key;
  if (hasOwnPair && (certificate === undefined) !== (key === undefined))
    problems.push({ code: 'ERR_CONFIG_CONFLICT', key: prefix, reason: 'certificate and key belong together: set both or neither' });
  return {
    domain,
    registration: read('registration', HOST_OPTIONS.registration.type, defaults.registration),
    isAnonymous: read('anonymous', HOST_OPTIONS.anonymous.type, defaults.isAnonymous),
    admins: read('admins', HOST_OPTIONS.admins.type, []),
    certificate: certificate === undefined ? undefined : absolutePath(certificate),
    key: key === undefined ? undefined : absolutePath(key),
    shapers: {
      users: read('shaper_users', HOST_OPTIONS.shaper_users.type, defaults.shapers.users),
      admins: read('shaper_admins', HOST_OPTIONS.shaper_admins.type, defaults.shapers.admins),
    },
    modules: makeModules(modules, sectionOrProblem(section['modules'], `${prefix}.modules`, problems), prefix, schemas, problems),
  };
}

/** `[modules]` first, then what the host's own `modules` section changes. */
function makeModules(
  shared: Section,
  own: Section,
  prefix: string,
  schemas: ModuleSchemas | undefined,
  problems: ConfigProblem[],
): Readonly<Record<string, ModuleConfig>> {
  if (schemas === undefined) return {};
  const names = Object.keys(schemas);
  const switches = new Map<string, boolean>();
  for (const [section, where] of [
    [shared, 'modules'],
    [own, `${prefix}.modules`],
  ] as const) {
    readSwitches(section, where, names, switches, problems);
    for (const name of Object.keys(section)) {
      if (name !== 'enable' && name !== 'disable' && !(name in schemas)) problems.push(unknownModule(`${where}.${name}`, name, names));
    }
  }
  const modules: Record<string, ModuleConfig> = {};
  for (const [name, schema] of Object.entries(schemas)) {
    const sharedSection = sectionOrProblem(shared[name], `modules.${name}`, problems);
    const ownSection = sectionOrProblem(own[name], `${prefix}.modules.${name}`, problems);
    const values = { ...sharedSection, ...ownSection };
    const result = strict(schema).safeParse(values);
    if (!result.success) {
      for (const issue of result.error.issues) {
        const isOwn = issue.path.length === 0 ? Object.keys(ownSection).length > 0 : String(issue.path[0]) in ownSection;
        problems.push(...moduleProblems(`${isOwn ? `${prefix}.` : ''}modules.${name}`, schema, values, issue));
      }
    }
    modules[name] = { isEnabled: switches.get(name) ?? true, values: result.success ? result.data : undefined };
  }
  return modules;
}

/** A module that forgot to be strict would swallow misspelled options. */
function strict(schema: z.ZodType): z.ZodType {
  return schema instanceof z.ZodObject && schema.def.catchall === undefined ? schema.strict() : schema;
}

function moduleProblems(where: string, schema: z.ZodType, values: Section, issue: z.core.$ZodIssue): ConfigProblem[] {
  if (issue.code === 'unrecognized_keys') {
    const known = schema instanceof z.ZodObject && issue.path.length === 0 ? Object.keys(schema.shape) : [];
    return issue.keys.map((name) => ({
      code: 'ERR_CONFIG_UNKNOWN',
      key: [where, ...issue.path, name].join('.'),
      reason: 'there is no such option of this module',
      suggestion: nearestName(name, known),
    }));
  }
  const [first] = issue.path;
  const value = first === undefined ? undefined : values[String(first)];
  return [
    {
      code: 'ERR_CONFIG_VALUE',
      key: [where, ...issue.path].join('.'),
      ...(value === undefined ? {} : { value: printRaw(value) }),
      reason: issue.message,
    },
  ];
}

function unknownModule(key: string, name: string, names: readonly string[]): ConfigProblem {
  return { code: 'ERR_CONFIG_UNKNOWN', key, reason: `there is no module '${name}'`, suggestion: nearestName(name, names) };
}

function readSwitches(
  section: Section,
  where: string,
  names: readonly string[],
  switches: Map<string, boolean>,
  problems: ConfigProblem[],
): void {
  for (const [word, isEnabled] of [
    ['enable', true],
    ['disable', false],
  ] as const) {
    const listed = section[word] ?? [];
    if (!Array.isArray(listed)) {
      problems.push({
        code: 'ERR_CONFIG_VALUE',
        key: `${where}.${word}`,
        value: printRaw(listed),
        reason: 'expected a list of module names',
      });
      continue;
    }
    for (const name of listed) {
      if (typeof name === 'string' && names.includes(name)) switches.set(name, isEnabled);
      else problems.push(unknownModule(`${where}.${word}`, String(name), names));
    }
  }
}
