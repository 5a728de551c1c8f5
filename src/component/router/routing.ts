/** Where the packets of a router's components go. */
import { toClientContent } from '../../xmpp/server-content.ts';
import type { Frame } from '../../xml/frame.ts';
import { parseJid } from '../../xmpp/jid.ts';
import { attributeOf } from '../../stream/header.ts';
import { fromComponent } from '../from-component.ts';
import { connectionKey, isSameConnection, type Binding, type RoutePacket } from '../messages.ts';
import type { RouterLink } from './machine.ts';
import { packetXml, readPacket, stanzaIn, type BindRequest, type RouterError } from './packets.ts';

/** Why a name cannot be bound, before it is known whether somebody has it. */
export function refusalOf(c: RouterLink, { name, isDefault, isLog }: BindRequest): RouterError | undefined {
  const { user, environment } = c;
  if (name === undefined || user === undefined || parseJid(name)?.full !== name || !parseJid(name)!.isDomain) return '400';
  const mayBind = name === user.name || user.binds.includes('*') || user.binds.includes(name);
  if (!mayBind || (isDefault && !user.mayBeDefault) || (isLog && !user.mayLog)) return '403';
  const isOurs = environment.hosts.has(name) || (environment.router.serves(name) && !environment.bindings.has(name));
  return isOurs ? '409' : undefined;
}

/** Names a component of a router is told of when it binds one: all but its own. */
export function namesThere({ environment, names }: RouterLink): string[] {
  return [...environment.hosts.keys(), ...environment.bindings.names].filter((name) => !names.has(name));
}

/** One `<route/>`. What cannot be carried comes back as it was, with a number. */
export function routePacket(c: RouterLink, frame: Frame): void {
  const packet = readPacket(frame);
  c.stanzasIn++;
  c.environment.counters.componentStanzasIn++;
  if (packet.error !== undefined) return; // one that came back is not carried again
  const { type } = packet;
  if (type === 'broadcast') {
    if (packet.from === undefined || !c.names.has(packet.from)) bounce(c, packet, packet.from === undefined ? '400' : '401');
    else toAllOthers(c, packet);
    return;
  }
  if (type !== undefined && type !== 'unicast') return; // as jabberd2's router does
  if (packet.from === undefined || packet.to === undefined) bounce(c, packet, '400');
  else if (!c.names.has(packet.from)) bounce(c, packet, '401');
  else unicast(c, packet, packet.to);
}

function unicast(c: RouterLink, packet: RoutePacket, to: string): void {
  const { environment, turn } = c;
  const { bindings, router } = environment;
  for (const { connection } of bindings.logs) turn.send(connection, { ...packet, type: 'log' });
  const binding = bindings.pick(to, ...bareAddresses(packet, bindings.of(to))) ?? undefined;
  if (binding?.protocol === 'router') {
    turn.send(binding.connection, { ...packet, type: undefined });
    return;
  }
  if (binding === undefined && !router.serves(to)) {
    const { defaultRoute } = bindings;
    const isElsewhere = defaultRoute !== undefined && !isSameConnection(defaultRoute.connection, turn.self);
    if (isElsewhere) turn.send(defaultRoute.connection, { ...packet, type: undefined });
    else if (defaultRoute !== undefined || !router.hasFallback) bounce(c, packet, '404'); // never back to where it came from
    else take(c, packet, to);
    return;
  }
  take(c, packet, to);
}

/** A stanza for a host, a service or a component of ours, or for another server. */
function take(c: RouterLink, packet: RoutePacket, to: string): void {
  const { environment } = c;
  const frame = stanzaIn(packet, c.link.framer.limits);
  const address = frame === undefined ? undefined : parseJid(attributeOf(frame, 'to') ?? '');
  if (frame === undefined || address?.domain !== to) {
    bounce(c, packet, '400');
    return;
  }
  // Whoever is the default route brings what other servers say; nobody speaks for those that are here.
  const isDefault =
    environment.bindings.defaultRoute !== undefined && isSameConnection(environment.bindings.defaultRoute.connection, c.turn.self);
  const outcome = fromComponent(
    c,
    toClientContent(frame),
    ({ domain }) => c.names.has(domain) || (isDefault && !environment.router.serves(domain)),
  );
  if (outcome !== 'handled') bounce(c, packet, '401');
}

function toAllOthers(c: RouterLink, packet: RoutePacket): void {
  const told = new Set([connectionKey(c.turn.self)]);
  for (const { protocol, connection } of c.environment.bindings.all()) {
    if (protocol !== 'router' || told.has(connectionKey(connection))) continue;
    told.add(connectionKey(connection));
    c.turn.send(connection, packet);
  }
}

function bounce(c: RouterLink, packet: RoutePacket, error: RouterError): void {
  c.link.write(packetXml({ ...packet, error }));
}

/** Whose packet it is, where several have the name. Looks into the packet only then. */
function bareAddresses(packet: RoutePacket, there: readonly Binding[]): [from: string, to: string] {
  if (there.length < 2) return ['', ''];
  const bare = (name: string): string => {
    const value = new RegExp(`^<[^>]*\\s${name}=(?:'([^']*)'|"([^"]*)")`).exec(packet.body);
    return parseJid(value?.[1] ?? value?.[2] ?? '')?.bare ?? '';
  };
  return [bare('from'), bare('to')];
}
