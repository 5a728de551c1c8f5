/**
 * Namespaces that a component serves in place of the server, in admin mode. XEP-0355
 *
 * Nothing is kept of a request that was handed over: what must be known when its answer comes (who asked whom, under which id) is the
 * id of the question, under a code that only this installation can make. So the answer may come to any worker, after any crash.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { domain } from '../config/types.ts';
import type { AccountContext, HostContext } from '../core/context.ts';
import type { Host } from '../core/host.ts';
import { defineModule, type NestedInfo } from '../core/module.ts';
import { el, type Element } from '../xml/element.ts';
import { parseDiscoInfo, type DiscoInfo } from '../xmpp/caps.ts';
import { embeddedXml, FORWARD } from '../xmpp/forwarding.ts';
import { parseJid, type Jid } from '../xmpp/jid.ts';
import { NS } from '../xmpp/namespaces.ts';
import { StanzaError, stanzaErrorElement } from '../xmpp/stanza-error.ts';
import { makeStanza, Stanza } from '../xmpp/stanza.ts';

const NS_DELEGATION = 'urn:xmpp:delegation:2';
/** §7.2.4, §7.2.5: questions about nodes and items of accounts. */
const ALL_INFO = `${NS_DELEGATION}:bare:disco#info:*`;
const ALL_ITEMS = `${NS_DELEGATION}:bare:disco#items:*`;
const CODE_BYTES = 12;

const OPTIONS = z.strictObject({
  /** What is delegated, by namespace: `{ to = "pubsub.example.org", attributes = ["node"] }`; with `attributes`, only requests that have all of them. */
  namespaces: z
    .record(
      z
        .string()
        .min(1)
        .refine((ns) => ns !== NS_DELEGATION, 'this namespace cannot be delegated'), // §8
      z.strictObject({ to: domain().schema, attributes: z.array(z.string().min(1)).default([]) }),
    )
    .default({}),
});
type Delegated = z.output<typeof OPTIONS>['namespaces'][string];

interface Nested {
  readonly server: Map<string, DiscoInfo>;
  readonly account: Map<string, DiscoInfo>;
  version: number;
}
const nestedInfos = new WeakMap<Host, Nested>();

const delegation = defineModule({
  name: 'delegation',
  implements: [{ spec: 'XEP-0355', version: '0.5', status: 'partial', note: 'admin mode, with filtering attributes and nesting' }],
  needs: ['disco'],
  config: OPTIONS,
  features: [NS_DELEGATION],
  componentBound: welcome,
  nestedInfo,
  toHost,
  hooks: {
    user_receive_iq: { phase: 'deliver', run: toAccount },
  },
});
export default delegation;

function delegatedTo(host: Host, ns: string): Delegated | undefined {
  const { namespaces } = host.moduleConfig(delegation);
  return Object.hasOwn(namespaces, ns) ? namespaces[ns] : undefined;
}

/** §4.2: what it serves; and it is asked what is to be said of that. §7.2 */
function welcome(component: string, isLocal: boolean, context: HostContext): void {
  const { host } = context;
  const to = parseJid(component);
  const own = Object.entries(host.moduleConfig(delegation).namespaces).filter(([, delegated]) => delegated.to === component);
  if (!isLocal || to === undefined || own.length === 0) return;
  host.services.log.info('namespaces_delegated', { component, host: host.domain, namespaces: own.map(([ns]) => ns) });
  const delegated = own.map(([namespace, { attributes }]) =>
    el('delegated', NS_DELEGATION, { namespace }, ...attributes.map((name) => el('attribute', NS_DELEGATION, { name }))),
  );
  context.route(makeStanza({ kind: 'message', type: 'normal', from: host.jid, to }, el('delegation', NS_DELEGATION, {}, ...delegated)));
  for (const [ns] of own) {
    if (ns.startsWith(`${NS_DELEGATION}:`)) continue;
    for (const kind of ['::', ':bare:']) {
      const query = el('query', NS.discoInfo, { node: NS_DELEGATION + kind + ns });
      context.route(makeStanza({ kind: 'iq', type: 'get', id: sealed(host, ['info', kind, ns]), from: host.jid, to }, query));
    }
  }
}

/** §4.3: a request to an account's bare JID, or one without address. */
function toAccount(stanza: Stanza, account: AccountContext): boolean {
  return stanza.to.resource === '' && handOver(stanza, account.host, (each) => account.route(each));
}

function toHost(stanza: Stanza, context: HostContext): 'taken' | 'everywhere' | undefined {
  const { host } = context;
  if (stanza.kind !== 'iq') return undefined;
  if (stanza.type === 'get' || stanza.type === 'set') return handOver(stanza, host, (each) => context.route(each)) ? 'taken' : undefined;
  const known = stanza.id === undefined ? undefined : opened(host, stanza.id);
  if (known === undefined) return undefined;
  const [what, ...rest] = known;
  if (what === 'info') return takeInfo(stanza, host, rest);
  takeAnswer(stanza, context, rest);
  return 'taken';
}

/** To the component that serves it. False: the server's own business. */
function handOver(stanza: Stanza, host: Host, route: (stanza: Stanza) => void): boolean {
  if (stanza.type !== 'get' && stanza.type !== 'set') return false;
  const head = stanza.children[0]!;
  const delegated = delegatedTo(host, head.ns) ?? specialFor(stanza, host, head.ns);
  if (delegated === undefined || stanza.from.domain === delegated.to) return false; // §4.3.1
  if (delegated.attributes.length > 0) {
    const payload = stanza.child(head.name, head.ns);
    if (!delegated.attributes.every((name) => payload?.attr(name) !== undefined)) return false; // §4.3 N.B.3
  }
  const to = parseJid(delegated.to);
  if (to === undefined || host.services.hasComponent?.(delegated.to) !== true) {
    route(failure(stanza.from, stanza.to, stanza.id)); // §4.3 N.B.1
    return true;
  }
  const body = `<delegation xmlns='${NS_DELEGATION}'><forwarded xmlns='${FORWARD}'>${embeddedXml(stanza)}</forwarded></delegation>`;
  const children = [{ name: 'delegation', ns: NS_DELEGATION }];
  const id = sealed(host, ['iq', delegated.to, stanza.from.full, stanza.to.full, stanza.id ?? '']);
  route(new Stanza({ kind: 'iq', type: 'set', id, from: host.jid, to, body, children }));
  return true;
}

/** §7.2.4: nodes of an account that the server does not know; §7.2.5: its items. */
function specialFor(stanza: Stanza, host: Host, ns: string): Delegated | undefined {
  if (stanza.to.local === '') return undefined;
  if (ns === NS.discoItems) return delegatedTo(host, ALL_ITEMS);
  const isOfNode =
    ns === NS.discoInfo && delegatedTo(host, ALL_INFO) !== undefined && stanza.child('query', ns)?.attr('node') !== undefined;
  return isOfNode ? delegatedTo(host, ALL_INFO) : undefined;
}

/** §4.3: what the component answered, if it is an answer to what was asked. */
function takeAnswer(stanza: Stanza, context: HostContext, asked: readonly string[]): void {
  const [component, fromText, toText, id] = asked as [string, string, string, string];
  const from = parseJid(fromText);
  const to = parseJid(toText);
  if (from === undefined || to === undefined || stanza.from.full !== component) return;
  const inner =
    stanza.type === 'error' ? undefined : stanza.child('delegation', NS_DELEGATION)?.child('forwarded', FORWARD)?.child('iq', NS.client);
  if (inner === undefined || !isAnswer(inner, from, to, id)) {
    context.host.services.log.warn('delegated_answer_refused', { component, type: stanza.type });
    context.route(failure(from, to, id)); // §4.3 N.B.2
    return;
  }
  const content = [...inner.elements()];
  context.route(makeStanza({ kind: 'iq', type: 'result', id, from: to, to: from }, content[0]));
}

/** `from` may be left out, as in the examples of §4.3. */
function isAnswer(inner: Element, asker: Jid, asked: Jid, id: string): boolean {
  const from = inner.attr('from');
  const isOf = from === undefined || parseJid(from)?.full === asked.full;
  return (
    isOf &&
    inner.attr('type') === 'result' &&
    inner.attr('id') === id &&
    parseJid(inner.attr('to') ?? '')?.full === asker.full &&
    [...inner.elements()].length <= 1
  );
}

function failure(to: Jid, from: Jid, id: string | undefined): Stanza {
  return makeStanza({ kind: 'iq', type: 'error', id, from, to }, stanzaErrorElement(new StanzaError('service-unavailable')));
}

/** §7.2.1, §7.2.2: kept until the component says something else. */
function takeInfo(stanza: Stanza, host: Host, [kind, ns]: readonly string[]): 'everywhere' | 'taken' {
  const delegated = delegatedTo(host, ns!);
  const query = stanza.type === 'result' ? stanza.child('query', NS.discoInfo) : undefined;
  if (delegated?.to !== stanza.from.full || query === undefined) return 'taken';
  const info = parseDiscoInfo(query);
  if (info === undefined) return 'taken';
  const nested = nestedOf(host);
  (kind === '::' ? nested.server : nested.account).set(ns!, info);
  nested.version++;
  return 'everywhere';
}

function nestedOf(host: Host): Nested {
  let nested = nestedInfos.get(host);
  if (nested === undefined) nestedInfos.set(host, (nested = { server: new Map(), account: new Map(), version: 0 }));
  return nested;
}

function nestedInfo(host: Host): NestedInfo {
  const { server, account, version } = nestedOf(host);
  const replaced = Object.keys(host.moduleConfig(delegation).namespaces);
  return { server: [...server.values()], account: [...account.values()], replaced, version };
}

/** Texts as an id that nobody else can make. */
function sealed(host: Host, texts: readonly string[]): string {
  const text = Buffer.from(JSON.stringify(texts)).toString('base64url');
  return `${text}.${codeOf(host, text).toString('base64url')}`;
}

function opened(host: Host, id: string): string[] | undefined {
  const dot = id.lastIndexOf('.');
  if (dot < 0) return undefined;
  const text = id.slice(0, dot);
  const code = Buffer.from(id.slice(dot + 1), 'base64url');
  if (code.length !== CODE_BYTES || !timingSafeEqual(code, codeOf(host, text))) return undefined;
  return JSON.parse(Buffer.from(text, 'base64url').toString()) as string[];
}

function codeOf(host: Host, text: string): Buffer {
  return createHmac('sha256', host.services.secret).update(`delegation ${host.domain} ${text}`).digest().subarray(0, CODE_BYTES);
}
