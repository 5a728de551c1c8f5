/** The way to a name that a component has, or may have. */
import type { Debtor, Outbox, Route } from '../core/router.ts';
import type { StanzaError } from '../xmpp/stanza-error.ts';
import type { Stanza } from '../xmpp/stanza.ts';
import type { Bindings } from './bindings.ts';
import { notConnected } from './directory.ts';
import { DIRECTORY } from './messages.ts';

export class ComponentRoute implements Route {
  readonly debtor: Debtor;
  private readonly bindings: Bindings;

  constructor(bindings: Bindings, worker: number) {
    this.bindings = bindings;
    const key = String(worker);
    this.debtor = { entity: DIRECTORY, keyOf: () => key };
  }

  send(stanza: Stanza, turn: Outbox): StanzaError | undefined {
    const { from, to } = stanza;
    const binding = this.bindings.pickFor(to.domain, from, to) ?? this.bindings.defaultRoute;
    if (binding === undefined) return notConnected();
    turn.send(binding.connection, stanza);
    return undefined;
  }
}
