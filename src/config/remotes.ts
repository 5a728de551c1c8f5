/** Other servers that are to be treated otherwise: what the file's `[remote."…"]` sections say. */
import type { ConfigProblem } from './error.ts';
import { printRaw } from './file.ts';
import type { Section } from './file.ts';
import { nearestName } from './nearest.ts';
import { fingerprint, flag, list, optionalPath, parseDomain, place } from './types.ts';
import type { ValueType } from './types.ts';

/** One other server. */
export interface RemoteConfig {
  /** Where to connect, in that order, in place of what DNS says: `host`, `host:port`, `[IPv6]:port`. */
  readonly addresses: readonly string[];
  /** Whether those expect TLS from the first byte. */
  readonly isDirectTls: boolean;
  /** SHA-256 of certificates or public keys, in hexadecimal without colons; one of them must be its. */
  readonly pins: readonly string[];
  /** Absolute path; undefined: `s2s.authorities`. */
  readonly authorities: string | undefined;
  /** Undefined: as for all others. */
  readonly isDialback: boolean | undefined;
  readonly isTlsRequired: boolean | undefined;
}

/** The keys of such a section, as the README lists them. */
export const REMOTE_OPTIONS = {
  address: {
    type: list(place()),
    doc: 'Where to connect in place of what DNS says: `host` or `host:port`; tried in that order.',
  },
  direct_tls: { type: flag(), doc: 'Whether those places expect TLS from the first byte; default: false.' },
  pin: {
    type: list(fingerprint()),
    doc: 'SHA-256 of its certificate or public key; it needs no authority then, and no other certificate will do.',
  },
  authorities: { type: optionalPath(), doc: 'PEM file of the authorities that are believed for it; default: `s2s.authorities`.' },
  dialback: { type: flag(), doc: 'Whether dialback will do for it; default: `s2s.dialback`.' },
  tls_required: { type: flag(), doc: 'Whether it must use TLS; default: `s2s.tls_required`.' },
} as const satisfies Record<string, { type: ValueType<never> | ValueType<unknown>; doc: string }>;

/** Reads the sections; what is wrong goes to `problems`. */
export function makeRemotes(
  sections: ReadonlyMap<string, Section>,
  absolutePath: (path: string) => string,
  problems: ConfigProblem[],
): Readonly<Record<string, RemoteConfig>> {
  const remotes: Record<string, RemoteConfig> = {};
  for (const [name, section] of sections) {
    const domain = parseDomain(name);
    if (domain === undefined) problems.push({ code: 'ERR_CONFIG_VALUE', key: `remote."${name}"`, reason: 'expected a domain name' });
    else remotes[domain] = makeRemote(`remote."${name}"`, section, absolutePath, problems);
  }
  return remotes;
}

function makeRemote(prefix: string, section: Section, absolutePath: (path: string) => string, problems: ConfigProblem[]): RemoteConfig {
  const known = Object.keys(REMOTE_OPTIONS);
  for (const key of Object.keys(section)) {
    if (known.includes(key)) continue;
    const reason = 'there is no such option of a server';
    problems.push({ code: 'ERR_CONFIG_UNKNOWN', key: `${prefix}.${key}`, reason, suggestion: nearestName(key, known) });
  }
  const read = <T>(key: string, type: ValueType<T>, fallback: T): T => {
    if (!(key in section)) return fallback;
    const result = type.schema.safeParse(section[key]);
    if (result.success) return result.data;
    const reason = result.error.issues[0]!.message;
    problems.push({ code: 'ERR_CONFIG_VALUE', key: `${prefix}.${key}`, value: printRaw(section[key]), reason });
    return fallback;
  };
  const authorities = read('authorities', REMOTE_OPTIONS.authorities.type, undefined);
  return {
    addresses: read('address', REMOTE_OPTIONS.address.type, []),
    isDirectTls: read('direct_tls', REMOTE_OPTIONS.direct_tls.type, false),
    pins: read('pin', REMOTE_OPTIONS.pin.type, []),
    authorities: authorities === undefined ? undefined : absolutePath(authorities),
    isDialback: read<boolean | undefined>('dialback', flag() as ValueType<boolean | undefined>, undefined),
    isTlsRequired: read<boolean | undefined>('tls_required', flag() as ValueType<boolean | undefined>, undefined),
  };
}
