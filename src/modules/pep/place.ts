/** An account as a place for nodes. XEP-0163 §3 */
import type { AccountContext } from '../../core/context.ts';
import type { Host } from '../../core/host.ts';
import type { BareJid, Jid } from '../../xmpp/jid.ts';
import type { Stanza } from '../../xmpp/stanza.ts';
import {
  type AccessModel,
  accountDefaults,
  type Ground,
  lastItemEvent,
  type Limits,
  maySee,
  type Node,
  type NodeConfig,
  Place,
  type Rules,
} from '../pubsub/index.ts';
import { rosterOf } from '../roster/index.ts';
import { tellAudience } from './audience.ts';
import { optionsOf } from './options.ts';
import { pepOf, type Listener } from './state.ts';

const ACCESS_MODELS: readonly AccessModel[] = ['open', 'presence', 'roster', 'authorize', 'whitelist'];
/** Of one node: an account's nodes are shared with few. */
const MAX_AFFILIATIONS = 1_000;

interface Fixed {
  readonly limits: Limits;
  readonly defaults: NodeConfig;
}
const fixed = new WeakMap<Host, Fixed>();

function fixedOf(host: Host): Fixed {
  let known = fixed.get(host);
  if (known === undefined) {
    const { max_nodes, max_items, max_payload, max_size, max_subscriptions } = optionsOf(host);
    const limits: Limits = {
      maxNodes: max_nodes,
      maxItems: max_items,
      maxPayloadBytes: max_payload,
      maxBytes: max_size,
      maxSubscriptions: max_subscriptions,
      maxAffiliations: MAX_AFFILIATIONS,
    };
    fixed.set(host, (known = { limits, defaults: accountDefaults(max_payload) }));
  }
  return known;
}

class AccountRules implements Rules {
  readonly accessModels = ACCESS_MODELS;
  private readonly account: AccountContext;

  constructor(account: AccountContext) {
    this.account = account;
  }

  get limits(): Limits {
    return fixedOf(this.account.host).limits;
  }

  get defaults(): NodeConfig {
    return fixedOf(this.account.host).defaults;
  }

  /** §3.2: "The owner-publisher for every node is the bare JID of the account owner." */
  isOwner(bare: BareJid): boolean {
    return bare === this.account.bare;
  }

  mayCreate({ bare }: Jid): boolean {
    return this.isOwner(bare);
  }

  seesPresence(bare: BareJid): boolean {
    return rosterOf(this.account).subscribers.has(bare);
  }

  isInGroup(bare: BareJid, groups: readonly string[]): boolean {
    return (
      rosterOf(this.account)
        .items.get(bare)
        ?.groups.some((group) => groups.includes(group)) ?? false
    );
  }

  changed(node: Node, id: string, payload: string | undefined): void {
    this.account.host.hooks.emit('node_changed', this.account, node.name, id, payload);
  }

  notifyImplicitly(node: Node, event: Stanza, isServed: (to: Jid) => boolean): void {
    const place = placeOf(this.account);
    tellAudience(this.account, node.name, event, (to) => !isServed(to) && maySee(place, node, to.bare), greet);
  }
}

export function placeOf(account: AccountContext): Place {
  return new Place(account, pepOf(account).nodes, new AccountRules(account), reopen);
}

const reopen = (ground: Ground): Place => placeOf(ground as AccountContext);

/** The last item of each node that somebody is newly interested in, once. §4.3.3, §4.3.4 */
export function greet(account: AccountContext, listener: Listener): void {
  const { interests, told, jid } = listener;
  if (interests === undefined || interests.size === 0) return;
  const place = placeOf(account);
  for (const name of interests) {
    const node = told.has(name) ? undefined : place.nodes.get(name);
    if (node === undefined || node.config['pubsub#send_last_published_item'] !== 'on_sub_and_presence') continue;
    const last = node.lastItem(place.now);
    if (last === undefined || !maySee(place, node, jid.bare)) continue;
    place.readItems(node, [last], (later, [item]) => {
      if (item !== undefined) later.route(lastItemEvent(later, node, last, item.payload).readdressed(later.jid, jid));
    });
  }
}
