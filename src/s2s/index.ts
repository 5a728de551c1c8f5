/** Links to other servers, as the composition puts them into a worker. */
import type { Config } from '../config/config.ts';
import type { CoreLog } from '../core/context.ts';
import type { CheckNote, Links, LinkStatus } from '../core/links.ts';
import type { Router } from '../core/router.ts';
import type { ActorRef, MailboxLimits, Message } from '../kernel/actor.ts';
import type { Kernel } from '../kernel/kernel.ts';
import type { Codec } from '../kernel/wire.ts';
import type { NameService } from '../net/service-records.ts';
import type { Transport } from '../net/transport.ts';
import type { Link, LinkEvent } from '../stream/link.ts';
import { StanzaError } from '../xmpp/stanza-error.ts';
import { dialbackSecret } from './dialback.ts';
import { BIDI_STANZA_CODEC, LinkMail, pairKey, S2sCounters, type S2sEnvironment, type Trust } from './environment.ts';
import { inboundMachine } from './inbound.ts';
import { outboundMachine } from './outbound.ts';
import { tokenMachine } from './tokens.ts';

/** What the outside world is to the links. */
export interface S2sWorld {
  readonly names: NameService;
  readonly trust: Trust;
  readonly dial: S2sEnvironment['dial'];
  /** A server that has connected has shown who it is. */
  readonly onAuthenticated?: (transport: Transport) => void;
}

export interface S2sOptions extends S2sWorld {
  readonly config: Config;
  readonly kernel: Kernel;
  readonly router: Router;
  readonly log: CoreLog;
  readonly now: () => number;
  /** Of the installation. */
  readonly secret: Buffer;
  readonly mailbox: MailboxLimits;
  /** Without handlers yet. */
  readonly makeLink: (transport: Transport, role: 'stranger' | 'server') => Link;
  /** Other limits hold from now on. */
  readonly promote: (link: Link) => void;
}

/** The links of one worker. Makes them the route to all domains that are nobody's here. */
export class S2s implements Links {
  readonly counters = new S2sCounters();
  private readonly environment: S2sEnvironment;
  private readonly kernel: Kernel;
  private readonly options: S2sOptions;
  private readonly inbound: typeof inboundMachine;

  constructor(options: S2sOptions) {
    const { config, kernel, router, log, now, secret, mailbox, names, trust, dial } = options;
    this.options = options;
    this.kernel = kernel;
    this.inbound = { ...inboundMachine, mailbox };
    const environment: S2sEnvironment = {
      config,
      router,
      log,
      now,
      counters: this.counters,
      secret: dialbackSecret(secret),
      names,
      trust,
      dial,
      open: (transport, ref, epoch) => this.attach(options.makeLink(transport, 'server'), ref, epoch),
      authenticated: (link) => {
        options.promote(link);
        options.onAuthenticated?.(link.transport);
      },
      views: new Set(),
    };
    this.environment = environment;
    kernel.registerEntity({
      kind: 's2s_out',
      machine: { ...outboundMachine, mailbox },
      args: (key) => {
        const [local, remote] = key.split(' ') as [string, string];
        return { environment, local, remote, purpose: { kind: 'deliver' } };
      },
    });
    kernel.registerEntity({ kind: 's2s_token', machine: tokenMachine });
    kernel.registerCodec('bidi_stanza', BIDI_STANZA_CODEC as Codec<Message>);
    router.addRoute(undefined, {
      send: (stanza, turn) => {
        if (!router.serves(stanza.from.domain)) return new StanzaError('not-acceptable'); // nobody's relay
        turn.sendTo('s2s_out', pairKey(stanza.from.domain, stanza.to.domain), stanza);
        return undefined;
      },
      debtor: { entity: 's2s_out', keyOf: (from, to) => pairKey(from.domain, to.domain) },
    });
  }

  /** Takes over a connection that another server has opened. TLS, where it comes first, is done. */
  accept(transport: Transport): void {
    const link = this.options.makeLink(transport, 'stranger');
    const ref = this.kernel.spawn(this.inbound, { environment: this.environment, open: () => link });
    this.attach(link, ref as ActorRef<never>, undefined);
  }

  reload(config: Config): void {
    this.environment.config = config;
  }

  list(): LinkStatus[] {
    return [...this.environment.views].flatMap((view) => view.status() ?? []);
  }

  close(remote: string): number {
    let count = 0;
    for (const view of this.environment.views) {
      if (view.status()?.remote !== remote) continue;
      count++;
      this.kernel.send(view.ref, { kind: 'close_link', condition: 'reset' });
    }
    return count;
  }

  /** Another worker has ended. */
  workerDown(): void {
    for (const view of this.environment.views) this.kernel.send(view.ref, { kind: 'worker_lost' });
  }

  /** The server ends. */
  closeAll(): void {
    for (const view of this.environment.views) this.kernel.send(view.ref, { kind: 'close_link', condition: 'system-shutdown' });
  }

  /** Whether stanzas are under way out of this worker. */
  get isBusy(): boolean {
    return this.list().some(({ state, queued, unacked }) => state === 'established' && queued + unacked > 0);
  }

  check(local: string, remote: string): Promise<CheckNote[]> {
    const notes: CheckNote[] = [];
    const { promise, resolve } = Promise.withResolvers<CheckNote[]>();
    const note = (line: CheckNote): void => void notes.push(line);
    const ref = this.kernel.spawn(outboundMachine, { environment: this.environment, local, remote, purpose: { kind: 'check', note } });
    this.kernel.send(ref, { kind: 'start_link' });
    this.kernel.onExit(ref, () => resolve(notes));
    return promise;
  }

  private attach(link: Link, ref: ActorRef<never>, epoch: number | undefined): Link {
    const { kernel } = this;
    const to = ref as ActorRef<LinkEvent | LinkMail>;
    link.attach({
      deliver: (event) => kernel.send(to, epoch === undefined ? event : new LinkMail(epoch, event)),
      whenRoom: (callback) => kernel.whenRoom(to, callback),
    });
    return link;
  }
}
