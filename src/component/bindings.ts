/** Who has which name, as one worker knows it; its directory alone changes it, and routes read it. */
import type { ActorRef } from '../kernel/actor.ts';
import { hashKey } from '../kernel/registry.ts';
import type { Jid } from '../xmpp/jid.ts';
import { isSameConnection, type Binding, type ComponentMessage } from './messages.ts';

export class Bindings {
  private readonly byName = new Map<string, Binding[]>();
  /** Of all connections, the first that may be one. */
  defaultRoute: Binding | undefined = undefined;
  readonly logs: Binding[] = [];

  /** In the order of their first binding. */
  get names(): IterableIterator<string> {
    return this.byName.keys();
  }

  all(): Binding[] {
    return [...this.byName.values()].flat();
  }

  has(name: string): boolean {
    return this.byName.has(name);
  }

  of(name: string): readonly Binding[] {
    return this.byName.get(name) ?? [];
  }

  /** Whether a name can be had beside those that have it. */
  isFree(wanted: Binding): boolean {
    if (wanted.isDefault && this.defaultRoute !== undefined) return false;
    const there = this.of(wanted.name);
    return there.every(
      (each) =>
        each.share !== 'none' &&
        wanted.share !== 'none' &&
        each.protocol === wanted.protocol &&
        !isSameConnection(each.connection, wanted.connection),
    );
  }

  add(binding: Binding): void {
    const there = this.byName.get(binding.name);
    if (there === undefined) this.byName.set(binding.name, [binding]);
    else there.splice(there.findLastIndex((each) => isEarlier(each, binding)) + 1, 0, binding);
    if (binding.isDefault && (this.defaultRoute === undefined || isEarlier(binding, this.defaultRoute))) this.defaultRoute = binding;
    if (binding.isLog) this.logs.push(binding);
  }

  /** @returns what was removed. */
  remove(name: string, connection: ActorRef<ComponentMessage>): Binding | undefined {
    const there = this.byName.get(name) ?? [];
    const at = there.findIndex((each) => isSameConnection(each.connection, connection));
    if (at < 0) return undefined;
    const [removed] = there.splice(at, 1);
    if (there.length === 0) this.byName.delete(name);
    if (this.defaultRoute === removed) this.defaultRoute = this.all().find(({ isDefault }) => isDefault);
    const log = this.logs.indexOf(removed!);
    if (log >= 0) this.logs.splice(log, 1);
    return removed;
  }

  /** Names of a connection. */
  namesOf(connection: ActorRef<never>): string[] {
    return this.all().flatMap((each) => (isSameConnection(each.connection, connection) ? [each.name] : []));
  }

  /** Who gets a stanza for that name. One user's stanzas go to the same connection as long as none comes or goes. Cost: O(1). */
  pick(name: string, from: string, to: string): Binding | undefined {
    const there = this.byName.get(name);
    if (there === undefined) return undefined;
    const first = there[0]!;
    if (there.length === 1) return first;
    return there[hashKey(first.share === 'to' ? to : from) % there.length];
  }

  pickFor(name: string, from: Jid, to: Jid): Binding | undefined {
    return this.pick(name, from.bare, to.bare);
  }
}

/** The same order on every worker. */
export function isEarlier(one: Binding, other: Binding): boolean {
  if (one.sinceMs !== other.sinceMs) return one.sinceMs < other.sinceMs;
  if (one.connection.worker !== other.connection.worker) return one.connection.worker < other.connection.worker;
  return one.connection.id < other.connection.id;
}
