/** Who may connect: limits that hold before anything of a connection is looked at. One per worker, for all its listeners. */
import type { BlockList } from 'node:net';
import type { Clock } from '../kernel/clock.ts';
import { addressKey } from './address.ts';

/** All of them count what one worker has; an address is an IPv4 address or an IPv6 /64. */
export interface AdmissionLimits {
  readonly maxConnections: number;
  /** Connections that have not logged in, of all addresses together. */
  readonly maxUnauthenticated: number;
  readonly maxPerAddress: number;
  readonly maxUnauthenticatedPerAddress: number;
  /** How many connections an address may open at once … */
  readonly connectBurst: number;
  /** … and how many more it may open each second. */
  readonly connectsPerSecond: number;
  /** Addresses without a connection whose rate is remembered, and as many with failed logins; beyond, the one longest without news is forgotten. */
  readonly maxRememberedAddresses: number;
  /** Failed logins of an address within the window after which it is banned; 0: never. */
  readonly maxLoginFailures: number;
  readonly loginFailureWindowMs: number;
  /** How long a banned address may not connect, from its last failed login. */
  readonly banMs: number;
}

/** Generous to a school behind one address, tight to a flood. */
export const DEFAULT_ADMISSION_LIMITS: AdmissionLimits = {
  maxConnections: 50_000,
  maxUnauthenticated: 5_000,
  maxPerAddress: 500,
  maxUnauthenticatedPerAddress: 100,
  connectBurst: 200,
  connectsPerSecond: 20,
  maxRememberedAddresses: 20_000,
  maxLoginFailures: 30,
  loginFailureWindowMs: 600_000,
  banMs: 600_000,
};

/** Why a connection was refused. */
export const REFUSALS = [
  'too_many_connections',
  'too_many_unauthenticated',
  'too_many_from_address',
  'too_many_unauthenticated_from_address',
  'connecting_too_fast',
  'too_many_login_failures',
  /** The peer had left before it was looked at. */
  'gone',
] as const;
export type Refusal = (typeof REFUSALS)[number];

/** One peer's account. */
interface Site {
  readonly key: string;
  open: number;
  unauthenticated: number;
  /** Connections it may open now; grows with time up to the burst. */
  credit: number;
  creditedMs: number;
}

/** Failed logins from one address. */
interface Guesses {
  failures: number;
  /** When the window began: with its first failure. */
  sinceMs: number;
  bannedUntilMs: number;
}

/** One admitted connection; opaque to its holder. */
export interface Admitted {
  readonly site: Site | undefined;
  isAuthenticated: boolean;
}

export class Admission {
  #limits: AdmissionLimits;
  readonly #clock: Clock;
  readonly #exempt: BlockList | undefined;
  /** Addresses with connections: at most `maxConnections` entries. */
  readonly #present = new Map<string, Site>();
  /** Addresses without, in the order they left: at most `maxRememberedAddresses`. */
  readonly #gone = new Map<string, Site>();
  /** Addresses with failed logins, by their last one: at most `maxRememberedAddresses`. */
  readonly #guesses = new Map<string, Guesses>();
  #open = 0;
  #unauthenticated = 0;
  #bans = 0;

  /**
   * @param limits what is not given is as in DEFAULT_ADMISSION_LIMITS.
   * @param exempt addresses to which only the limits of the whole worker apply, e.g. of a trusted proxy.
   */
  constructor(limits: Partial<AdmissionLimits>, clock: Clock, exempt?: BlockList) {
    this.#limits = { ...DEFAULT_ADMISSION_LIMITS, ...limits };
    this.#clock = clock;
    this.#exempt = exempt;
  }

  get open(): number {
    return this.#open;
  }

  get unauthenticated(): number {
    return this.#unauthenticated;
  }

  /** Addresses held in memory, for whatever reason. */
  get addresses(): number {
    return this.#present.size + this.#gone.size + this.#guesses.size;
  }

  /** How often an address was banned so far. */
  get bans(): number {
    return this.#bans;
  }

  /** For connections from now on; none is closed. */
  setLimits(limits: Partial<AdmissionLimits>): void {
    this.#limits = { ...DEFAULT_ADMISSION_LIMITS, ...limits };
  }

  /** Counts a connection in, or says why not. Cost: O(1). */
  admit(address: string): Admitted | Refusal {
    const limits = this.#limits;
    if (this.#open >= limits.maxConnections) return 'too_many_connections';
    if (this.#unauthenticated >= limits.maxUnauthenticated) return 'too_many_unauthenticated';
    let site: Site | undefined;
    if (!this.#isExempt(address)) {
      site = this.#siteOf(addressKey(address));
      const refusal = this.#refusal(site);
      if (refusal !== undefined) {
        if (site.open === 0) this.#remember(site);
        return refusal;
      }
      site.open++;
      site.unauthenticated++;
    }
    this.#open++;
    this.#unauthenticated++;
    return { site, isAuthenticated: false };
  }

  /** The connection has logged in: it no longer counts as one that has not. */
  authenticated(admitted: Admitted): void {
    if (admitted.isAuthenticated) return;
    admitted.isAuthenticated = true;
    this.#unauthenticated--;
    if (admitted.site !== undefined) admitted.site.unauthenticated--;
  }

  /** Counts the connection out; to be called once. */
  release(admitted: Admitted): void {
    this.authenticated(admitted);
    this.#open--;
    const { site } = admitted;
    if (site !== undefined && --site.open === 0) this.#remember(site);
  }

  /**
   * Somebody at that address guessed a password wrongly. Successful logins change nothing: an attacker may have an account, too.
   *
   * @param address as `admit` had it.
   * @returns whether that was one too many: the address is banned from now on. To be logged; once per ban.
   */
  loginFailed(address: string): boolean {
    const { maxLoginFailures, loginFailureWindowMs, banMs, maxRememberedAddresses } = this.#limits;
    if (maxLoginFailures === 0 || this.#isExempt(address)) return false;
    const key = addressKey(address);
    const nowMs = this.#clock.monotonicMs();
    let guesses = this.#guesses.get(key);
    if (guesses === undefined) guesses = { failures: 0, sinceMs: nowMs, bannedUntilMs: -Infinity };
    else this.#guesses.delete(key);
    this.#guesses.set(key, guesses);
    if (this.#guesses.size > maxRememberedAddresses) forgetFirst(this.#guesses);
    const wasBanned = nowMs < guesses.bannedUntilMs;
    if (!wasBanned && nowMs - guesses.sinceMs >= loginFailureWindowMs) {
      guesses.failures = 0;
      guesses.sinceMs = nowMs;
    }
    guesses.failures++;
    if (!wasBanned && guesses.failures <= maxLoginFailures) return false;
    guesses.bannedUntilMs = nowMs + banMs; // connections that are open go on guessing: that prolongs it
    if (wasBanned) return false;
    this.#bans++;
    return true;
  }

  #isBanned(key: string): boolean {
    const guesses = this.#guesses.get(key);
    if (guesses === undefined || guesses.bannedUntilMs === -Infinity) return false;
    if (this.#clock.monotonicMs() < guesses.bannedUntilMs) return true;
    this.#guesses.delete(key); // a clean start
    return false;
  }

  #isExempt(address: string): boolean {
    return this.#exempt?.check(address, address.includes(':') ? 'ipv6' : 'ipv4') === true;
  }

  #refusal(site: Site): Refusal | undefined {
    const limits = this.#limits;
    const nowMs = this.#clock.monotonicMs();
    site.credit = Math.min(limits.connectBurst, site.credit + ((nowMs - site.creditedMs) / 1000) * limits.connectsPerSecond);
    site.creditedMs = nowMs;
    if (site.open >= limits.maxPerAddress) return 'too_many_from_address';
    if (site.unauthenticated >= limits.maxUnauthenticatedPerAddress) return 'too_many_unauthenticated_from_address';
    if (site.credit < 1) return 'connecting_too_fast';
    site.credit--;
    if (this.#isBanned(site.key)) return 'too_many_login_failures';
    return undefined;
  }

  #siteOf(key: string): Site {
    let site = this.#present.get(key);
    if (site !== undefined) return site;
    site = this.#gone.get(key);
    if (site === undefined)
      site = { key, open: 0, unauthenticated: 0, credit: this.#limits.connectBurst, creditedMs: this.#clock.monotonicMs() };
    else this.#gone.delete(key);
    this.#present.set(key, site);
    return site;
  }

  #remember(site: Site): void {
    this.#present.delete(site.key);
    this.#gone.set(site.key, site);
    if (this.#gone.size > this.#limits.maxRememberedAddresses) forgetFirst(this.#gone);
  }
}

function forgetFirst(map: Map<string, unknown>): void {
  for (const first of map.keys()) {
    map.delete(first);
    return;
  }
}
