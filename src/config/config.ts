/**
 * The configuration as the rest of the server sees it: plain, deeply frozen data with
 * all defaults filled in, which crosses threads by structured clone. Where each value
 * is described is `options.ts`; how it is read, `load.ts`.
 */
import type { ComponentConfig, RouterUserConfig } from './components.ts';
import type { Option, OPTIONS } from './options.ts';
import type { RemoteConfig } from './remotes.ts';
import type { ShaperConfig } from './shapers.ts';

type ValuesOf<T> = { readonly [K in keyof T]: T[K] extends Option<infer V> ? V : ValuesOf<T[K]> };

/** One virtual host, with the defaults of the whole server where its own section says nothing. */
export interface HostConfig {
  /** Lower case; Unicode where internationalised. */
  readonly domain: string;
  readonly registration: 'off' | 'open';
  readonly isAnonymous: boolean;
  /** Addresses of accounts that administer this host, beside `admins`. */
  readonly admins: readonly string[];
  /** Absolute paths; undefined: the self-signed pair in the data directory. Both or neither are set. */
  readonly certificate: string | undefined;
  readonly key: string | undefined;
  /** Names of the shapers of its accounts' connections; see `shaperFor`. */
  readonly shapers: Readonly<Record<'users' | 'admins', string>>;
  /** Every known module by name, also those that are off. */
  readonly modules: Readonly<Record<string, ModuleConfig>>;
}

export interface ModuleConfig {
  readonly isEnabled: boolean;
  /** What the module's own schema made of its section. */
  readonly values: unknown;
}

/** Everything that is configured, e.g. `config.c2s.ports`, `config.limits.mailboxMessages`. Paths are absolute. */
export interface Config extends ValuesOf<typeof OPTIONS> {
  /** At least one; the first is the default. Same order as `domains`. */
  readonly hosts: readonly HostConfig[];
  /** Shapers of the file besides those in `shapers`. */
  readonly namedShapers: Readonly<Record<string, ShaperConfig>>;
  /** External components by name. */
  readonly components: Readonly<Record<string, ComponentConfig>>;
  /** Users of the router listener by name. */
  readonly routerUsers: Readonly<Record<string, RouterUserConfig>>;
  /** Other servers with a section of their own, by domain. */
  readonly remotes: Readonly<Record<string, RemoteConfig>>;
}

/** Values set by the program that embeds the server: any part of `Config`, in its own types and units. */
export type ConfigValues = PartialValues<ValuesOf<typeof OPTIONS>> & {
  /** As in the file: sections by name, which are checked. */
  readonly components?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly routerUsers?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
};

type PartialValues<T> = T extends readonly unknown[] ? T : T extends object ? { readonly [K in keyof T]?: PartialValues<T[K]> } : T;
