/** Shapers: the ones every configuration has, those of the file's `[shapers.…]` sections, and which one holds for whom. */
import type { Config } from './config.ts';
import type { ConfigProblem } from './error.ts';
import { printRaw } from './file.ts';
import type { Section } from './file.ts';
import { nearestName } from './nearest.ts';
import { bytes, count, orOff, perSecond } from './types.ts';

/** What one connection may send. 0 is no limit. */
export interface ShaperConfig {
  readonly bytesPerSecond: number;
  readonly burstBytes: number;
  readonly stanzasPerSecond: number;
  readonly burstStanzas: number;
}

/** Whose connections a rule is about. */
export type ShaperRole = 'beforeLogin' | 'users' | 'admins' | 'servers';

/** The shaper that brakes nothing. */
export const NO_SHAPER = 'none';

/** Shapers that are options of their own. */
export const BUILT_IN_SHAPERS = ['normal', 'login', 'server'] as const;

/** A burst that is not set is what comes in this time at the rate. */
export const BURST_SECONDS = 5;

/** The keys of a `[shapers.…]` section, by their field. */
export const SHAPER_KEYS = {
  bytesPerSecond: { key: 'rate', type: orOff(perSecond(bytes({ min: 1_000, max: 1_000_000_000 }), '256kB/s')) },
  burstBytes: { key: 'burst', type: bytes({ min: 1_000, max: 1024 * 1024 * 1024 }) },
  stanzasPerSecond: { key: 'stanzas', type: orOff(perSecond(count({ min: 1, max: 1_000_000 }), '500/s')) },
  burstStanzas: { key: 'stanza_burst', type: count({ min: 1, max: 10_000_000 }) },
} as const;

/** Reads the sections of shapers that are not built in; what is wrong goes to `problems`. */
export function makeShapers(sections: ReadonlyMap<string, Section>, problems: ConfigProblem[]): Readonly<Record<string, ShaperConfig>> {
  const shapers: Record<string, ShaperConfig> = {};
  for (const [name, section] of sections) {
    const reason = nameProblem(name);
    if (reason !== undefined) problems.push({ code: 'ERR_CONFIG_VALUE', key: `shapers.${name}`, reason });
    else shapers[name] = makeShaper(`shapers.${name}`, section, problems);
  }
  return shapers;
}

function nameProblem(name: string): string | undefined {
  if (name === NO_SHAPER) return `'${NO_SHAPER}' is the shaper that brakes nothing`;
  return /^[a-z][a-z0-9_-]{0,31}$/.test(name) ? undefined : 'expected a name of small letters, digits, - and _';
}

function makeShaper(prefix: string, section: Section, problems: ConfigProblem[]): ShaperConfig {
  const known = Object.values(SHAPER_KEYS).map(({ key }) => key);
  for (const key of Object.keys(section)) {
    if (!(known as string[]).includes(key))
      problems.push({
        code: 'ERR_CONFIG_UNKNOWN',
        key: `${prefix}.${key}`,
        reason: 'there is no such option of a shaper',
        suggestion: nearestName(key, known),
      });
  }
  const read = (field: keyof typeof SHAPER_KEYS, fallback: number): number => {
    const { key, type } = SHAPER_KEYS[field];
    if (!(key in section)) return fallback;
    const result = type.schema.safeParse(section[key]);
    if (result.success) return result.data;
    problems.push({
      code: 'ERR_CONFIG_VALUE',
      key: `${prefix}.${key}`,
      value: printRaw(section[key]),
      reason: result.error.issues[0]!.message,
    });
    return fallback;
  };
  const bytesPerSecond = read('bytesPerSecond', 0);
  const stanzasPerSecond = read('stanzasPerSecond', 0);
  return {
    bytesPerSecond,
    burstBytes: read('burstBytes', bytesPerSecond * BURST_SECONDS),
    stanzasPerSecond,
    burstStanzas: read('burstStanzas', stanzasPerSecond * BURST_SECONDS),
  };
}

/** The shaper that a rule names; undefined where it brakes nothing. */
export function shaperNamed(config: Config, name: string): ShaperConfig | undefined {
  if (name === NO_SHAPER) return undefined;
  const builtIn = BUILT_IN_SHAPERS.find((each) => each === name);
  return builtIn === undefined ? config.namedShapers[name] : config.shapers[builtIn];
}

/**
 * What holds for connections of that role: the rule of their host, else that of the server. Undefined: nothing does.
 *
 * @param domain of the account; before login none is known.
 */
export function shaperFor(config: Config, role: ShaperRole, domain?: string): ShaperConfig | undefined {
  const isOfAccounts = role === 'users' || role === 'admins';
  const host = isOfAccounts ? config.hosts.find((host) => host.domain === domain) : undefined;
  return shaperNamed(config, host === undefined || !isOfAccounts ? config.shaperRules[role] : host.shapers[role]);
}
