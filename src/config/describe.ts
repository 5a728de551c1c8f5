/** The configuration for people: the README's tables, `rookery config`, and what a reload changes. */
import { z } from 'zod';
import type { Config } from './config.ts';
import { COMPONENT_OPTIONS, ROUTER_USER_OPTIONS } from './components.ts';
import { HOST_OPTIONS } from './hosts.ts';
import type { ModuleSchemas } from './hosts.ts';
import { ALL_OPTIONS, getAt, printOption, printOrigin } from './load.ts';
import type { LoadedConfig, PlacedOption } from './load.ts';
import type { ReloadEffect } from './options.ts';
import { REMOTE_OPTIONS } from './remotes.ts';
import type { RemoteConfig } from './remotes.ts';
import { SHAPER_KEYS } from './shapers.ts';
import type { ShaperConfig } from './shapers.ts';
import { typeOfSchema } from './types.ts';
import type { FileValue } from './types.ts';

/** The README's table of options, in Markdown; the same on every machine. */
export function describeOptions(): string {
  const rows = ALL_OPTIONS.map((placed) => {
    const { env, key, type, doc, reload } = placed.option;
    const kind = type.bounds === '' ? type.name : `${type.name}, ${type.bounds}`;
    return [`\`${env}\``, key === undefined ? '–' : `\`${key}\``, kind, defaultText(placed), doc, reload].join(' | ');
  });
  return [
    '| Variable | Key in the file | Value | Default | Meaning | Reload |',
    '| --- | --- | --- | --- | --- | --- |',
    ...rows.map((row) => `| ${row} |`),
  ].join('\n');
}

/** The README's table of the keys in a `[hosts."…"]` section. */
export const describeHostOptions = (): string => describeSection(HOST_OPTIONS);

/** The same for `[components."…"]` and `[router_users."…"]`. */
export const describeComponentOptions = (): string => describeSection(COMPONENT_OPTIONS);
export const describeRouterUserOptions = (): string => describeSection(ROUTER_USER_OPTIONS);

function describeSection(options: Readonly<Record<string, { readonly type: { readonly name: string }; readonly doc: string }>>): string {
  const rows = Object.entries(options).map(([name, { type, doc }]) => `| \`${name}\` | ${type.name} | ${doc} |`);
  return ['| Key | Value | Meaning |', '| --- | --- | --- |', ...rows].join('\n');
}

/** The README's table of the keys in a `[remote."…"]` section. */
export function describeRemoteOptions(): string {
  const rows = Object.entries(REMOTE_OPTIONS).map(([name, { type, doc }]) => `| \`${name}\` | ${type.name} | ${doc} |`);
  return ['| Key | Value | Meaning |', '| --- | --- | --- |', ...rows].join('\n');
}

function defaultText(placed: PlacedOption): string {
  if (placed.option.defaultText !== undefined) return placed.option.defaultText;
  const text = printOption(placed, placed.option.default);
  return text === '' ? 'none' : `\`${text}\``;
}

/** The README's table of module options. `docs` has a sentence by `module.key`, where there is one. */
export function describeModuleOptions(schemas: ModuleSchemas, docs: ReadonlyMap<string, string>): string {
  const rows = Object.entries(schemas).flatMap(([module, schema]) =>
    Object.entries(shapeOf(schema)).map(([key, value]) => {
      const type = typeOfSchema(value);
      const kind = type === undefined ? 'TOML' : type.bounds === '' ? type.name : `${type.name}, ${type.bounds}`;
      const initial = value.safeParse(undefined);
      const text = initial.success && initial.data !== undefined ? `\`${toml(writeModuleValue(value, initial.data))}\`` : 'none';
      return `| \`modules.${module}.${key}\` | ${kind} | ${text.length > 80 ? 'built in' : text} | ${docs.get(`${module}.${key}`) ?? ''} |`;
    }),
  );
  return ['| Key in the file | Value | Default | Meaning |', '| --- | --- | --- | --- |', ...rows].join('\n');
}

function shapeOf(schema: z.ZodType): Readonly<Record<string, z.ZodType>> {
  return schema instanceof z.ZodObject ? (schema.shape as Record<string, z.ZodType>) : {};
}

/** What a module's schema made of a value, as it was written; values of other kinds than ours are as TOML gave them. */
function writeModuleValue(schema: z.ZodType, value: unknown): FileValue {
  const type = typeOfSchema(schema);
  return type === undefined ? (value as FileValue) : type.write(value);
}

/**
 * A configuration as a TOML file that would give it again. Values that are not
 * the default say where they came from; options that have no value are comments.
 * Options of modules are there where they differ from the default, if the `schemas` are given.
 */
export function printConfig({ config, file, origins }: LoadedConfig, schemas: ModuleSchemas = {}): string {
  const lines = [file === undefined ? '# No configuration file.' : `# Configuration file: ${file}`];
  let section = '';
  for (const { path, option } of inFileOrder()) {
    section = openSection(section, option.key!, lines);
    const origin = origins.get(path);
    const from =
      origin?.from === 'environment' || origin?.from === 'program'
        ? `  # ${printOrigin(origin)}`
        : origin?.from === 'file'
          ? '  # file'
          : '';
    lines.push(assignment(option.key!, option.type.write(getAt(config, path)), from));
  }
  for (const [name, shaper] of Object.entries(config.namedShapers)) {
    lines.push('', `[shapers.${name}]`);
    for (const field of Object.keys(SHAPER_KEYS) as (keyof ShaperConfig)[]) {
      const { key, type } = SHAPER_KEYS[field];
      if (shaper[field] > 0) lines.push(`${key} = ${toml(type.write(shaper[field]))}`);
    }
  }
  lines.push(...componentLines(config));
  for (const [domain, remote] of Object.entries(config.remotes)) lines.push('', `[remote.${toml(domain)}]`, ...remoteLines(remote));
  for (const host of config.hosts) {
    lines.push('', `[hosts.${toml(host.domain)}]`, `registration = ${toml(host.registration)}`, `anonymous = ${host.isAnonymous}`);
    if (host.admins.length > 0) lines.push(`admins = ${toml(host.admins)}`);
    for (const name of ['certificate', 'key'] as const) if (host[name] !== undefined) lines.push(`${name} = ${toml(host[name])}`);
    for (const role of ['users', 'admins'] as const) {
      if (host.shapers[role] !== config.shaperRules[role]) lines.push(`shaper_${role} = ${toml(host.shapers[role])}`);
    }
    const disabled = Object.keys(host.modules).filter((name) => !host.modules[name]!.isEnabled);
    if (disabled.length > 0) lines.push(`modules.disable = ${toml(disabled)}`);
    for (const [name, schema] of Object.entries(schemas)) lines.push(...moduleLines(host.domain, name, schema, host.modules[name]?.values));
  }
  return `${lines.join('\n')}\n`;
}

/** Secrets are not shown: the output is mailed and pasted. */
function componentLines({ components, routerUsers }: Config): string[] {
  const lines: string[] = [];
  for (const { name, domains, title, isListed, multiple, offline, queueMs } of Object.values(components)) {
    lines.push('', `[components.${toml(name)}]`, '# secret is not shown', `domains = ${toml(domains)}`, `listed = ${isListed}`);
    if (title !== undefined) lines.push(`title = ${toml(title)}`);
    lines.push(`multiple = ${toml(multiple)}`, `offline = ${toml(offline)}`);
    lines.push(`queue_time = ${toml(COMPONENT_OPTIONS.queue_time.type.write(queueMs))}`);
  }
  for (const { name, binds, mayBeDefault, mayLog } of Object.values(routerUsers)) {
    lines.push('', `[router_users.${toml(name)}]`, '# secret is not shown', `bind = ${toml(binds)}`);
    lines.push(`default_route = ${mayBeDefault}`, `log = ${mayLog}`);
  }
  return lines;
}

function remoteLines({ addresses, isDirectTls, pins, authorities, isDialback, isTlsRequired }: RemoteConfig): string[] {
  const lines: string[] = [];
  if (addresses.length > 0) lines.push(`address = ${toml(addresses)}`);
  if (isDirectTls) lines.push('direct_tls = true');
  if (pins.length > 0) lines.push(`pin = ${toml(pins)}`);
  if (authorities !== undefined) lines.push(`authorities = ${toml(authorities)}`);
  if (isDialback !== undefined) lines.push(`dialback = ${isDialback}`);
  if (isTlsRequired !== undefined) lines.push(`tls_required = ${isTlsRequired}`);
  return lines;
}

function moduleLines(domain: string, name: string, schema: z.ZodType, values: unknown): string[] {
  const lines: string[] = [];
  for (const [key, inner] of Object.entries(shapeOf(schema))) {
    const value = (values as Record<string, unknown> | undefined)?.[key];
    const initial = inner.safeParse(undefined);
    if (value === undefined || (initial.success && isSame(initial.data, value))) continue;
    lines.push(`${key} = ${toml(writeModuleValue(inner, value))}`);
  }
  return lines.length === 0 ? [] : ['', `[hosts.${toml(domain)}.modules.${name}]`, ...lines];
}

/** A configuration file to start from: every option with its meaning, commented out at its default. */
export function printDefaults(): string {
  const lines = ['# Every option of Rookery at its default. Remove the # of those you change.'];
  let section = '';
  for (const placed of inFileOrder()) {
    const { key, doc, type, defaultText } = placed.option;
    section = openSection(section, key!, lines);
    const note = defaultText === undefined ? '' : ` Default: ${defaultText}.`;
    lines.push('', `# ${doc}${note}`, `#${assignment(key!, type.write(placed.option.default), '').replace(/^# ?/, '')}`);
  }
  return `${lines.join('\n')}\n`;
}

/** TOML wants keys before sections, and each section once. */
function inFileOrder(): readonly PlacedOption[] {
  const bySection = new Map<string, PlacedOption[]>([['', []]]);
  for (const placed of ALL_OPTIONS) {
    if (placed.option.key === undefined) continue;
    const section = sectionOf(placed.option.key);
    bySection.set(section, [...(bySection.get(section) ?? []), placed]);
  }
  return [...bySection.values()].flat();
}

const sectionOf = (key: string): string => key.slice(0, Math.max(0, key.lastIndexOf('.')));

function openSection(current: string, key: string, lines: string[]): string {
  const section = sectionOf(key);
  if (section !== current) lines.push('', `[${section}]`);
  return section;
}

function assignment(key: string, value: FileValue, comment: string): string {
  const name = key.slice(key.lastIndexOf('.') + 1);
  return value === undefined ? `# ${name} = ""${comment}` : `${name} = ${toml(value)}${comment}`;
}

/** JSON's strings, numbers and arrays are TOML's; its objects nearly are inline tables. */
function toml(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(toml).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).filter(([, item]) => item !== undefined);
  return entries.length === 0 ? '{}' : `{ ${entries.map(([name, item]) => `${JSON.stringify(name)} = ${toml(item)}`).join(', ')} }`;
}

/** One difference between two configurations. */
export interface ConfigChange {
  /** Place in `Config`, or `hosts.<domain>`. */
  readonly path: string;
  readonly reload: ReloadEffect;
}

/** What a reload would change, and when each change takes effect. Module sections and hosts that come or go need a restart. */
export function compareConfigs(before: Config, after: Config): readonly ConfigChange[] {
  const changes: ConfigChange[] = [];
  for (const { path, option } of ALL_OPTIONS) {
    if (!isSame(getAt(before, path), getAt(after, path))) changes.push({ path, reload: option.reload });
  }
  if (!isSame(before.namedShapers, after.namedShapers)) changes.push({ path: 'namedShapers', reload: 'new connections' });
  for (const path of ['components', 'routerUsers'] as const) {
    if (!isSame(before[path], after[path])) changes.push({ path, reload: 'new connections' });
  }
  if (!isSame(before.remotes, after.remotes)) changes.push({ path: 'remotes', reload: 'new connections' });
  for (const host of after.hosts) {
    const old = before.hosts.find(({ domain }) => domain === host.domain);
    if (old === undefined || isSame(old, host)) continue;
    changes.push({ path: `hosts.${host.domain}`, reload: isSame(old.modules, host.modules) ? 'new connections' : 'restart' });
  }
  return changes;
}

/** Configurations are plain data, in a fixed order of keys. */
const isSame = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);
