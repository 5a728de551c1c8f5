/** A service for nodes that are nobody's account: pubsub.capulet.lit. XEP-0060 */
import { z } from 'zod';
import { bytes, count, domain, flag, oneOf } from '../../config/types.ts';
import type { Host } from '../../core/host.ts';
import type { IqAnswer, IqRequest } from '../../core/module.ts';
import type { ServedHost, ServiceContext, ServiceSpec } from '../../core/service.ts';
import type { BareJid, Jid } from '../../xmpp/jid.ts';
import { NS } from '../../xmpp/namespaces.ts';
import type { StanzaError } from '../../xmpp/stanza-error.ts';
import type { Stanza } from '../../xmpp/stanza.ts';
import { takeApproval } from './approval.ts';
import { serviceDefaults, type AccessModel, type NodeConfig } from './config.ts';
import { COMMON_FEATURES, itemsOfNode, nodeInfo, nodeItems } from './disco.ts';
import { PUBSUB, PUBSUB_OWNER } from './namespaces.ts';
import type { Nodes } from './node.ts';
import { Place, type Ground, type Limits, type Rules } from './place.ts';
import { answerPubsub } from './request.ts';
import { loadNodes } from './rows.ts';

/** The module's section of the configuration file. */
export const PUBSUB_OPTIONS = z.strictObject({
  /** Whether there is a service for nodes beside those of accounts. */
  service: flag().schema.default(true),
  /** Its domain; default: `pubsub.` before that of the host. */
  domain: domain().schema.optional(),
  /** Who may make nodes there: accounts of the host, only admins, or anyone. */
  create: oneOf('local', 'admins', 'anyone').schema.default('local'),
  /** Nodes there may be; making a further one is refused. */
  max_nodes: count({ min: 1, max: 1_000_000 }).schema.default(10_000),
  /** Items a node may keep, whatever its configuration says: the oldest go. */
  max_items: count({ min: 1, max: 100_000 }).schema.default(1_000),
  /** Of one item. It cannot be longer than a stanza. */
  max_payload: bytes({ min: 1024, max: 16 * 1024 * 1024 }).schema.default(256 * 1024),
  /** Of all items together; publishing beyond it is refused. */
  max_size: bytes({ min: 64 * 1024, max: 1024 ** 4 }).schema.default(1024 ** 3),
  /** Subscriptions to one node. */
  max_subscriptions: count({ min: 1, max: 1_000_000 }).schema.default(10_000),
});

type Options = z.infer<typeof PUBSUB_OPTIONS>;

function optionsOf({ settings }: ServedHost): Options {
  return settings.modules['pubsub']!.values as Options;
}

const ACCESS_MODELS: readonly AccessModel[] = ['open', 'authorize', 'whitelist'];
const MAX_AFFILIATIONS = 10_000;

class ServiceRules implements Rules {
  readonly limits: Limits;
  readonly defaults: NodeConfig;
  readonly accessModels = ACCESS_MODELS;
  private readonly host: Host;
  private readonly options: Options;

  constructor(host: Host) {
    this.host = host;
    this.options = optionsOf(host);
    const { max_nodes, max_items, max_payload, max_size, max_subscriptions } = this.options;
    this.limits = {
      maxNodes: max_nodes,
      maxItems: max_items,
      maxPayloadBytes: max_payload,
      maxBytes: max_size,
      maxSubscriptions: max_subscriptions,
      maxAffiliations: MAX_AFFILIATIONS,
    };
    this.defaults = serviceDefaults(max_payload);
  }

  isOwner(bare: BareJid): boolean {
    return this.host.config.admins.includes(bare);
  }

  mayCreate({ bare, domain: from }: Jid): boolean {
    const { create } = this.options;
    return create === 'anyone' || (create === 'local' && from === this.host.domain) || this.isOwner(bare);
  }

  /** Presence and rosters are those of accounts: such access models are not offered. */
  seesPresence(): boolean {
    return false;
  }

  isInGroup(): boolean {
    return false;
  }
}

const rules = new WeakMap<Host, ServiceRules>();

function rulesOf(host: Host): ServiceRules {
  let known = rules.get(host);
  if (known === undefined) rules.set(host, (known = new ServiceRules(host)));
  return known;
}

function placeOf(context: ServiceContext): Place {
  return new Place(context, context.state as Nodes, rulesOf(context.host), reopen);
}

const reopen = (ground: Ground): Place => placeOf(ground as ServiceContext);

const answer = (request: IqRequest, context: ServiceContext): IqAnswer => answerPubsub(placeOf(context), request);

export const PUBSUB_SERVICE: ServiceSpec = {
  kind: 'pubsub',
  domain(host) {
    const { service, domain: own } = optionsOf(host);
    return service ? (own ?? `pubsub.${host.domain}`) : undefined;
  },
  load: loadNodes,
  identities: [{ category: 'pubsub', type: 'service', name: 'Publish-Subscribe' }],
  features: COMMON_FEATURES,
  nodes: {
    items: (context, from) => nodeItems(placeOf(context), from),
    info: (context, node, from) => nodeInfo(placeOf(context), node, from),
    itemsOf: (context, node, from) => itemsOfNode(placeOf(context), node, from),
  },
  iq: [
    { type: 'get', payload: ['pubsub', PUBSUB], run: answer },
    { type: 'set', payload: ['pubsub', PUBSUB], run: answer },
    { type: 'get', payload: ['pubsub', PUBSUB_OWNER], run: answer },
    { type: 'set', payload: ['pubsub', PUBSUB_OWNER], run: answer },
  ],
  receive,
};

/** An owner answers whether somebody may subscribe: §8.6. Nothing else is said here. */
function receive(stanza: Stanza, context: ServiceContext): StanzaError | undefined {
  if (stanza.kind !== 'message' || stanza.type === 'error' || !stanza.has('x', NS.dataForm)) return undefined;
  const taken = takeApproval(placeOf(context), stanza);
  return typeof taken === 'boolean' ? undefined : taken;
}
