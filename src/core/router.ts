/**
 * Where a stanza goes: an account or host of ours, or somebody else's domain.
 * Components and server links register their domains here.
 */
import type { Message, Turn } from '../kernel/actor.ts';
import type { Jid } from '../xmpp/jid.ts';
import { StanzaError } from '../xmpp/stanza-error.ts';
import type { Stanza } from '../xmpp/stanza.ts';
import type { Hosts } from './host.ts';
import type { ServiceDomain, ServiceSpec } from './service.ts';

/** The part of a turn that routing needs. */
export type Outbox = Pick<Turn<Message>, 'send' | 'sendTo'>;

/** Takes stanzas for domains that are not ours, e.g. a component or the s2s links. */
export interface Route {
  /** Sends `stanza` on within `turn`, or says why it cannot. */
  send(stanza: Stanza, turn: Outbox): StanzaError | undefined;
  /** Who takes messages of accounts as debts; without it they are sent like all else, and nobody knows whether they arrived. */
  readonly debtor?: Debtor;
}

/** Who says `forwarded` for messages, once they have arrived or were refused: see `forwarding.ts`. */
export interface Debtor {
  readonly entity: string;
  keyOf(from: Jid, to: Jid): string;
}

const ACCOUNTS: Debtor = { entity: 'account', keyOf: (_from, to) => to.bare };

export class Router {
  private readonly hosts: Hosts;
  private readonly services = new Map<string, ServiceSpec>();
  private readonly routes = new Map<string, Route>();
  private fallback: Route | undefined = undefined;
  private preferred: Route | undefined = undefined;

  constructor(hosts: Hosts) {
    this.hosts = hosts;
  }

  /** The entities of a service are actors named by the kind of the service. */
  addService({ domain, spec }: ServiceDomain): void {
    this.services.set(domain, spec);
  }

  /** @param domain undefined: every domain that nobody else has. */
  addRoute(domain: string | undefined, route: Route): void {
    if (domain === undefined) this.fallback = route;
    else this.routes.set(domain, route);
  }

  /** Takes what nobody else has in place of the fallback, as long as it is there. */
  prefer(route: Route | undefined): void {
    this.preferred = route;
  }

  /** Whether there is a way to domains that nobody has. */
  get hasFallback(): boolean {
    return this.fallback !== undefined;
  }

  removeRoute(domain: string): void {
    this.routes.delete(domain);
  }

  /** Whether the address is an account's of this server (or would be). */
  isLocalAccount(to: Jid): boolean {
    return to.local !== '' && this.hosts.has(to.domain);
  }

  /** Whether stanzas for that domain stay here: a virtual host's, or a route's of its own. */
  serves(domain: string): boolean {
    return this.hosts.has(domain) || this.services.has(domain) || this.routes.has(domain);
  }

  /** Whom an account's message to that address is owed to; undefined: it is only sent. */
  debtorOf(to: Jid): Debtor | undefined {
    if (this.hosts.has(to.domain)) return to.local === '' ? undefined : ACCOUNTS;
    return this.services.has(to.domain) ? undefined : (this.routes.get(to.domain) ?? this.preferred ?? this.fallback)?.debtor;
  }

  /** RFC 6120 §10.4, §10.5. An error is the caller's to return to the sender. */
  route(stanza: Stanza, turn: Outbox): StanzaError | undefined {
    const { to } = stanza;
    if (this.hosts.has(to.domain)) {
      if (to.local === '') turn.sendTo('host', to.domain, stanza);
      else turn.sendTo('account', to.bare, stanza);
      return undefined;
    }
    const service = this.services.get(to.domain);
    if (service !== undefined) {
      turn.sendTo(service.kind, service.keyOf?.(to) ?? to.domain, stanza);
      return undefined;
    }
    const route = this.routes.get(to.domain) ?? this.preferred ?? this.fallback;
    return route === undefined ? new StanzaError('remote-server-not-found') : route.send(stanza, turn); // RFC 6120 §10.4
  }
}
