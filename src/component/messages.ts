/** What connections of components and the directories of the workers say to each other. Plain data: it crosses threads by structured clone. */
import type { ActorRef, ReplyTo } from '../kernel/actor.ts';
import type { CloseStream, Forward, ForwardAgain, Forwarded, ForwardGap, RemoteTaken } from '../core/messages.ts';
import type { Outbox } from '../core/router.ts';
import type { BareJid } from '../xmpp/jid.ts';
import type { Stanza } from '../xmpp/stanza.ts';

/** A name that a connection has: stanzas for that domain go to it. */
export interface Binding {
  /** A domain, normalised, or a name of jabberd2's router such as `sm`. */
  readonly name: string;
  readonly connection: ActorRef<ComponentMessage>;
  readonly protocol: 'component' | 'router';
  /** Orders those of one name alike on all workers: the first has it where only one may. */
  readonly sinceMs: number;
  /** Whether others may have the name, too, and whose bare JID then says which of them gets a stanza. */
  readonly share: 'none' | 'to' | 'from';
  /** Stanzas for domains that nobody has go there. */
  readonly isDefault: boolean;
  /** Wants a copy of every packet of the router. */
  readonly isLog: boolean;
}

/** Asked of the worker's own directory. Answer: BindAnswer. */
export interface BindNames {
  readonly kind: 'bind_names';
  readonly replyTo: ReplyTo;
  readonly bindings: readonly Binding[];
}

/** All or none are bound. */
export type BindAnswer = 'bound' | 'conflict';

/** Told to the worker's own directory. */
export interface UnbindName {
  readonly kind: 'unbind_name';
  readonly name: string;
  readonly connection: ActorRef<ComponentMessage>;
}

/** Told to the directories of other workers. */
export interface BindingNews {
  readonly kind: 'binding_news';
  readonly added: readonly Binding[];
  readonly removed: readonly Pick<Binding, 'name' | 'connection'>[];
}

/** To a directory: another worker is there, new or again; it wants to know what is bound here. */
export interface PeerJoined {
  readonly kind: 'peer_joined';
  readonly worker: number;
}

/** To a directory: an answer to the virtual host that every worker has to know. */
export interface ForHost {
  readonly kind: 'for_host';
  readonly stanza: Stanza;
}

/** What a directory understands. */
export type DirectoryMessage = BindNames | UnbindName | BindingNews | PeerJoined | ForHost | Forward | ForwardAgain;

/** To connections of a router: a name came or went. */
export interface NameNews {
  readonly kind: 'name_news';
  readonly name: string;
  readonly isThere: boolean;
}

/** To a connection: somebody on another worker had the name before. */
export interface NameLost {
  readonly kind: 'name_lost';
  readonly name: string;
}

/** From one component of a router to another: content that is their own business. */
export interface RoutePacket {
  readonly kind: 'route_packet';
  readonly from: string | undefined;
  readonly to: string | undefined;
  readonly type: string | undefined;
  readonly error: string | undefined;
  /** Inner XML under the default namespace of the router's protocol, checked. */
  readonly body: string;
  readonly bytes: number;
}

/** What a component's connection understands beside what its link says. */
export type ComponentMessage = Stanza | Forward | ForwardAgain | RemoteTaken | CloseStream | NameNews | NameLost | RoutePacket;

/** Entity of the directories; the key is the worker's number. */
export const DIRECTORY = 'components';

export function tellDirectory(outbox: Outbox, worker: number, message: DirectoryMessage): void {
  outbox.sendTo(DIRECTORY, String(worker), message);
}

/** To the account whose log owes a message. */
export function tellSender(outbox: Outbox, sender: BareJid, message: Forwarded | ForwardGap): void {
  outbox.sendTo('account', sender, message);
}

export const isSameConnection = (one: ActorRef<never>, other: ActorRef<never>): boolean =>
  one.worker === other.worker && one.id === other.id && one.node === other.node;

/** A connection as a key. */
export const connectionKey = ({ node, worker, id }: ActorRef<never>): string => `${node}/${worker}/${id}`;
