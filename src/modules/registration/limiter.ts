/** How many accounts come from where. Kept by each worker thread for itself, in memory. */
import type { Rate } from '../../config/types.ts';
import type { Host } from '../../core/host.ts';

/** Addresses remembered; further ones push out the oldest. */
const MAX_ADDRESSES = 10_000;
/** Requests for each account that may be registered: names already taken, and slips of the pen. */
const TRIES_PER_ACCOUNT = 10;

interface Count {
  readonly sinceMs: number;
  registered: number;
  tries: number;
}

export class RegistrationLimiter {
  private readonly perAddress: Rate;
  private readonly perHost: Rate;
  private readonly addresses = new Map<string, Count>();
  private total: Count = { sinceMs: -Infinity, registered: 0, tries: 0 };

  constructor(perAddress: Rate, perHost: Rate) {
    this.perAddress = perAddress;
    this.perHost = perHost;
  }

  /**
   * Counts a request. False where there were too many.
   *
   * @param address what counts as one peer.
   */
  mayTry(address: string, now: number): boolean {
    const count = this.countOf(address, now);
    return ++count.tries <= this.perAddress.count * TRIES_PER_ACCOUNT;
  }

  /** Takes one account out of what the address and the host may still have. */
  take(address: string, now: number): boolean {
    const count = this.countOf(address, now);
    if (now >= this.total.sinceMs + this.perHost.windowMs) this.total = { sinceMs: now, registered: 0, tries: 0 };
    if (count.registered >= this.perAddress.count || this.total.registered >= this.perHost.count) return false;
    count.registered++;
    this.total.registered++;
    return true;
  }

  /** Takes a `take` back. */
  giveBack(address: string): void {
    const count = this.addresses.get(address);
    if (count !== undefined && count.registered > 0) count.registered--;
    if (this.total.registered > 0) this.total.registered--;
  }

  get size(): number {
    return this.addresses.size;
  }

  private countOf(address: string, now: number): Count {
    const known = this.addresses.get(address);
    if (known !== undefined && now < known.sinceMs + this.perAddress.windowMs) return known;
    const count: Count = { sinceMs: now, registered: 0, tries: 0 };
    this.addresses.delete(address); // to the end of the order
    this.addresses.set(address, count);
    if (this.addresses.size > MAX_ADDRESSES) this.addresses.delete(this.addresses.keys().next().value!);
    return count;
  }
}

const limiters = new WeakMap<Host, RegistrationLimiter>();

/** The one of this host. */
export function limiterOf(host: Host, { host_rate: perHost }: { readonly host_rate: Rate }): RegistrationLimiter {
  let limiter = limiters.get(host);
  if (limiter === undefined) {
    limiter = new RegistrationLimiter(host.config.accounts.registrationRate, perHost);
    limiters.set(host, limiter);
  }
  return limiter;
}
