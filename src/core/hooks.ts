/**
 * The hooks: every place where a module may look at what passes through an account.
 *
 * A stanza hook runs in phases: `filter` (may drop or refuse; fails closed) → `enrich`
 * (may return a changed stanza) → `observe` (cannot change; failures are logged and
 * skipped) → `deliver` (the first that handles it ends the chain; the core's own
 * delivery comes last). Inside a phase the order is that of the list of modules.
 */
import type { Element } from '../xml/element.ts';
import { StanzaError } from '../xmpp/stanza-error.ts';
import type { Picture } from '../xmpp/picture.ts';
import type { Stanza } from '../xmpp/stanza.ts';
import type { AccountContext } from './context.ts';
import type { CloseReason } from './messages.ts';
import type { Session } from './session.ts';

export const PHASES = ['filter', 'enrich', 'observe', 'deliver'] as const;
export type Phase = (typeof PHASES)[number];

/** A filter's word for: silently not. */
export const DROP = Symbol('drop');

/** Each stanza hook's handler, by phase. `session` is the sender's or, where a full JID matched, the addressee's. */
export type StanzaHandler =
  | {
      readonly phase: 'filter';
      readonly run: (stanza: Stanza, account: AccountContext, session: Session | undefined) => Stanza | StanzaError | typeof DROP;
    }
  | { readonly phase: 'enrich'; readonly run: (stanza: Stanza, account: AccountContext, session: Session | undefined) => Stanza }
  | { readonly phase: 'observe'; readonly run: (stanza: Stanza, account: AccountContext, session: Session | undefined) => void }
  /** True: handled. An error goes back to the sender. False: the next one's turn. */
  | {
      readonly phase: 'deliver';
      readonly run: (stanza: Stanza, account: AccountContext, session: Session | undefined) => boolean | StanzaError;
    };

export const STANZA_HOOKS = [
  /** In the sender's account, before routing. */
  'user_send_message',
  'user_send_presence',
  'user_send_iq',
  /** In the recipient's account, before delivery. `session` is set where the address matched one. */
  'user_receive_message',
  'user_receive_presence',
  'user_receive_iq',
  /** No session can take a message for this account; unhandled, it is refused. RFC 6121 §8.5.2.2 */
  'message_undelivered',
] as const;
export type StanzaHook = (typeof STANZA_HOOKS)[number];

/** What happens to sessions and accounts. All are notices: they cannot prevent anything. */
export interface EventHooks {
  /** A resource was bound. */
  session_opened: (account: AccountContext, session: Session) => void;
  /** A session sent its initial presence (after the presence was broadcast). RFC 6121 §4.2 */
  session_available: (account: AccountContext, session: Session) => void;
  /** A session's presence changed, for whatever reason, the initial one included. */
  session_presence: (account: AccountContext, session: Session) => void;
  /**
   * A message of one of the account's sessions is on its way, in the turn it came in: copies that `pushCopy` makes now are
   * written down with it.
   */
  message_sent: (account: AccountContext, stanza: Stanza, session: Session) => void;
  /**
   * A message for the account was given to these sessions: as above. Not called for one that waits for a session.
   */
  message_delivered: (account: AccountContext, stanza: Stanza, sessions: readonly Session[]) => void;
  /** A message for the account waits for a session that can take it: as above. */
  message_kept: (account: AccountContext, stanza: Stanza) => void;
  /** Its connection is gone; it waits to be resumed. XEP-0198 §5 */
  session_detached: (account: AccountContext, session: Session) => void;
  /** It goes on with a new connection. `isRestored`: the account was loaded anew since, so contacts may have to be asked again. */
  session_resumed: (account: AccountContext, session: Session, isRestored: boolean) => void;
  /** Its client says whether somebody looks at it; what is pushed now goes before the answer to anything later. XEP-0352 §4.2, §5.1 */
  client_state: (account: AccountContext, session: Session, isActive: boolean) => void;
  /** The session is about to leave the account: `presence` and `directed` still tell whom to inform. */
  session_closing: (account: AccountContext, session: Session, reason: CloseReason) => void;
  /** The user has blocked an address; `item` is what the client said of it. XEP-0191 §3.3 */
  jid_blocked: (account: AccountContext, address: string, item: Element, session: Session | undefined) => void;
  /** An item of one of the account's own nodes is another one, or gone (`payload` is undefined). XEP-0163 */
  node_changed: (account: AccountContext, node: string, id: string, payload: string | undefined) => void;
  /** Its owner has changed the vCard. `picture`: what its photo is, where it is one. XEP-0054 */
  vcard_changed: (account: AccountContext, vcard: Element, picture: Picture | undefined) => void;
  /** A segment of the account's log is complete: time to see what may go. */
  segment_closed: (account: AccountContext) => void;
  /** An external component came, of which `ModuleSpec.watches` wanted to hear. XEP-0356 §9 */
  component_bound: (account: AccountContext, domain: string) => void;
  /** An item of the account's roster was set or removed; `xml` is the `<item/>` of the push. RFC 6121 §2.1.6 */
  roster_changed: (account: AccountContext, ver: string, xml: string) => void;
  /** Somebody has woken the account, though nothing has come for it: time to see what may go. */
  woken: (account: AccountContext) => void;
  /** The account was created just now. */
  account_created: (account: AccountContext) => void;
  /** The account's rows are about to be erased: last chance to tell others. */
  account_removing: (account: AccountContext) => void;
}

export type EventHook = keyof EventHooks;

/** What a module hooks into: one handler, or several phases of one hook. */
export type ModuleHooks = {
  readonly [H in StanzaHook]?: StanzaHandler | readonly StanzaHandler[];
} & {
  readonly [H in EventHook]?: EventHooks[H];
};

/**
 * May keep a stanza back from a session: true where the module has taken it, to push it later. Called for every stanza on its
 * way to a client, so it must decide from what the stanza's header shows. Messages of the log are never kept back.
 */
export type PushGuard = (account: AccountContext, session: Session, stanza: Stanza, isLogged: boolean) => boolean;

/**
 * May keep in what the account itself is about to send to others (`route`): true where it must not leave. For what clients send there
 * are the hooks of sending. Called for each such stanza, so it must cost next to nothing where it has nothing to do.
 */
export type RouteGuard = (account: AccountContext, stanza: Stanza) => boolean;

/** Where the chains report failures that are not the sender's business. */
export type HookFailure = (module: string, hook: string, phase: Phase | 'event', error: unknown) => void;

interface Link {
  readonly module: string;
  readonly handler: StanzaHandler;
}

interface EventLink<H extends EventHook> {
  readonly module: string;
  readonly run: EventHooks[H];
}

/** What came of a chain: handled, refused, dropped, or the stanza for the core to deliver. */
export type ChainResult = Stanza | StanzaError | typeof DROP | typeof HANDLED;
export const HANDLED = Symbol('handled');

/** All hooks of one host, compiled once. */
export class HookTable {
  private readonly chains = new Map<StanzaHook, readonly Link[]>();
  private readonly events = new Map<EventHook, readonly EventLink<EventHook>[]>();
  private readonly onFailure: HookFailure;

  /** @param modules in the order of the module list. */
  constructor(modules: readonly { readonly name: string; readonly hooks?: ModuleHooks }[], onFailure: HookFailure) {
    this.onFailure = onFailure;
    for (const hook of STANZA_HOOKS) {
      const links: Link[] = [];
      for (const phase of PHASES) {
        for (const module of modules) {
          const declared = module.hooks?.[hook];
          if (declared === undefined) continue;
          const handlers = Array.isArray(declared) ? (declared as readonly StanzaHandler[]) : [declared as StanzaHandler];
          for (const handler of handlers) if (handler.phase === phase) links.push({ module: module.name, handler });
        }
      }
      this.chains.set(hook, links);
    }
    for (const module of modules) {
      for (const [hook, run] of Object.entries(module.hooks ?? {})) {
        if ((STANZA_HOOKS as readonly string[]).includes(hook)) continue;
        const name = hook as EventHook;
        const links = (this.events.get(name) as EventLink<EventHook>[] | undefined) ?? [];
        links.push({ module: module.name, run: run as EventHooks[EventHook] });
        this.events.set(name, links);
      }
    }
  }

  /** Runs the whole chain of one stanza hook. No allocation of its own. */
  run(hook: StanzaHook, stanza: Stanza, account: AccountContext, session: Session | undefined): ChainResult {
    const links = this.chains.get(hook)!;
    let current = stanza;
    for (let i = 0; i < links.length; i++) {
      const { handler, module } = links[i]!;
      switch (handler.phase) {
        case 'filter': {
          let verdict: Stanza | StanzaError | typeof DROP;
          try {
            verdict = handler.run(current, account, session);
          } catch (error) {
            this.onFailure(module, hook, 'filter', error);
            return new StanzaError('internal-server-error'); // a broken block list lets nothing through
          }
          if (verdict === DROP || verdict instanceof StanzaError) return verdict;
          current = verdict;
          break;
        }
        case 'enrich':
          current = handler.run(current, account, session);
          break;
        case 'observe':
          try {
            handler.run(current, account, session);
          } catch (error) {
            this.onFailure(module, hook, 'observe', error);
          }
          break;
        case 'deliver': {
          const outcome = handler.run(current, account, session);
          if (outcome === true) return HANDLED;
          if (outcome !== false) return outcome;
          break;
        }
      }
    }
    return current;
  }

  /** Tells all modules. A failure is the account's: it restarts from the store. */
  emit<H extends EventHook>(hook: H, ...args: Parameters<EventHooks[H]>): void {
    const links = this.events.get(hook);
    if (links === undefined) return;
    for (const { run } of links) (run as (...args: Parameters<EventHooks[H]>) => void)(...args);
  }
}
