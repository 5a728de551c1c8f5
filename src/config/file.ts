/**
 * The configuration file: TOML, because sections per virtual host and comments are
 * what operators need and indentation is not. This part knows its shape, not its values.
 */
import { readFileSync } from 'node:fs';
import { parse, TomlError } from 'smol-toml';
import type { ConfigProblem } from './error.ts';
import { nearestName } from './nearest.ts';

/** Larger files are refused unread: nothing that an operator writes comes near it. */
const MAX_FILE_BYTES = 4 * 1024 * 1024;

export type Section = Readonly<Record<string, unknown>>;

/** A file taken apart; values as TOML gave them. */
export interface ConfigFile {
  /** By full key, e.g. `c2s.ports`. */
  readonly options: ReadonlyMap<string, unknown>;
  /** `[hosts."…"]` in the order of the file, keyed as written. */
  readonly hosts: ReadonlyMap<string, Section>;
  /** `[shapers.…]` besides those whose keys are options, keyed as written. */
  readonly shapers: ReadonlyMap<string, Section>;
  /** `[components."…"]` and `[router_users."…"]`, keyed as written. */
  readonly components: ReadonlyMap<string, Section>;
  readonly routerUsers: ReadonlyMap<string, Section>;
  /** `[remote."…"]`, keyed as written. */
  readonly remotes: ReadonlyMap<string, Section>;
  /** `[modules]`. */
  readonly modules: Section;
}

/** What the absence of a file comes to. */
export const EMPTY_FILE: ConfigFile = {
  options: new Map(),
  hosts: new Map(),
  shapers: new Map(),
  components: new Map(),
  routerUsers: new Map(),
  remotes: new Map(),
  modules: {},
};

export function isSection(value: unknown): value is Section {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    Object.getPrototypeOf(value) !== Date.prototype &&
    !(value instanceof Date)
  );
}

/** Reads and takes apart the file at `path`. What is wrong with it goes to `problems`. */
export function readConfigFile(path: string, knownKeys: readonly string[], problems: ConfigProblem[]): ConfigFile {
  const text = readText(path, problems);
  return text === undefined ? EMPTY_FILE : parseConfigFile(text, path, knownKeys, problems);
}

function readText(path: string, problems: ConfigProblem[]): string | undefined {
  try {
    const contents = readFileSync(path);
    if (contents.length <= MAX_FILE_BYTES) return new TextDecoder('utf-8', { fatal: true }).decode(contents);
    problems.push({ code: 'ERR_CONFIG_FILE', key: path, reason: 'is larger than 4 MiB' });
  } catch (error) {
    const reason =
      error instanceof TypeError ? 'is not UTF-8 text' : `cannot be read (${(error as NodeJS.ErrnoException).code ?? String(error)})`;
    problems.push({ code: 'ERR_CONFIG_FILE', key: path, reason });
  }
  return undefined;
}

/** Takes apart `text`; `path` is for messages. */
export function parseConfigFile(text: string, path: string, knownKeys: readonly string[], problems: ConfigProblem[]): ConfigFile {
  let root: Section;
  try {
    root = parse(text, { maxDepth: 32, unsafeKeyBehaviour: 'throw' });
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const [reason = 'is not TOML'] = error.message.replace('Invalid TOML document: ', '').split('\n');
    problems.push({ code: 'ERR_CONFIG_SYNTAX', key: `${path}:${error.line}:${error.column}`, reason });
    return EMPTY_FILE;
  }
  const { hosts, modules, shapers, remote, components, router_users: routerUsers, ...rest } = root;
  const [builtIn, named] = splitShapers(sectionOrProblem(shapers, 'shapers', problems), knownKeys);
  const options = new Map<string, unknown>();
  collectOptions({ ...rest, shapers: builtIn }, '', new Set(knownKeys), options, problems);
  return {
    options,
    hosts: sectionsIn(sectionOrProblem(hosts, 'hosts', problems), (name) => `hosts."${name}"`, problems),
    components: sectionsIn(sectionOrProblem(components, 'components', problems), (name) => `components."${name}"`, problems),
    routerUsers: sectionsIn(sectionOrProblem(routerUsers, 'router_users', problems), (name) => `router_users."${name}"`, problems),
    shapers: sectionsIn(named, (name) => `shapers.${name}`, problems),
    remotes: sectionsIn(sectionOrProblem(remote, 'remote', problems), (name) => `remote."${name}"`, problems),
    modules: sectionOrProblem(modules, 'modules', problems),
  };
}

/** Those whose keys are options, and the others. */
function splitShapers(shapers: Section, knownKeys: readonly string[]): [Section, Section] {
  const builtIn: Record<string, unknown> = {};
  const named: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(shapers)) {
    (knownKeys.some((key) => key.startsWith(`shapers.${name}.`)) ? builtIn : named)[name] = value;
  }
  return [builtIn, named];
}

function sectionsIn(section: Section, keyOf: (name: string) => string, problems: ConfigProblem[]): Map<string, Section> {
  return new Map(Object.entries(section).map(([name, value]) => [name, sectionOrProblem(value, keyOf(name), problems)]));
}

/** Undefined is an empty section; anything but a section is a problem. */
export function sectionOrProblem(value: unknown, key: string, problems: ConfigProblem[]): Section {
  if (value === undefined) return {};
  if (isSection(value)) return value;
  problems.push({ code: 'ERR_CONFIG_VALUE', key, value: printRaw(value), reason: `expected a section, [${key}]` });
  return {};
}

function collectOptions(
  section: Section,
  prefix: string,
  known: ReadonlySet<string>,
  options: Map<string, unknown>,
  problems: ConfigProblem[],
): void {
  for (const [name, value] of Object.entries(section)) {
    const key = `${prefix}${name}`;
    if (known.has(key)) options.set(key, value);
    else if (isSection(value) && [...known].some((other) => other.startsWith(`${key}.`)))
      collectOptions(value, `${key}.`, known, options, problems);
    else problems.push(unknownKey(key, isSection(value), known));
  }
}

function unknownKey(key: string, isTable: boolean, known: ReadonlySet<string>): ConfigProblem {
  const sections = [...new Set([...known].filter((other) => other.includes('.')).map((other) => other.slice(0, other.lastIndexOf('.'))))];
  return isTable
    ? {
        code: 'ERR_CONFIG_UNKNOWN',
        key: `[${key}]`,
        reason: 'there is no such section',
        suggestion: nearestName(key, [...sections, 'components', 'hosts', 'modules', 'remote', 'router_users', 'shapers']),
      }
    : { code: 'ERR_CONFIG_UNKNOWN', key, reason: 'there is no such option', suggestion: nearestKey(key, [...known]) };
}

/** A right name in the wrong section is nearer than a wrong name in the right one. */
function nearestKey(key: string, known: readonly string[]): string | undefined {
  const name = key.slice(key.lastIndexOf('.') + 1);
  return nearestName(key, known) ?? known.find((other) => other.slice(other.lastIndexOf('.') + 1) === name);
}

/** A value for an error message: as in TOML, at most 80 characters. */
export function printRaw(value: unknown): string {
  const text = typeof value === 'string' ? `'${value}'` : isSection(value) ? '[section]' : (JSON.stringify(value) ?? String(value));
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}
