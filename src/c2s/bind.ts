/** Resource binding. RFC 6120 §7 */
import type { KernelEvent } from '../kernel/actor.ts';
import type { BindAnswer, Unbind } from '../core/messages.ts';
import { attributeOf } from '../stream/header.ts';
import type { Frame } from '../xml/frame.ts';
import { el } from '../xml/element.ts';
import { serialize } from '../xml/serialize.ts';
import { elementOf } from '../xml/tree.ts';
import { normalizeResource } from '../xmpp/jid.ts';
import { NS } from '../xmpp/namespaces.ts';
import { StanzaError, stanzaErrorElement, type Condition } from '../xmpp/stanza-error.ts';
import { beginSession, type C2sMessage, type C2sState, type Connection } from './connection.ts';
import { Given } from './given.ts';
import { NS_SM } from '../stream/stream-management.ts';
import { askToResume, manageBeforeBind, resumeAnswered } from './stream-management.ts';

/** Answers come from another thread at worst; a busy one is no reason to give up early. */
const BIND_TIMEOUT_MS = 15_000;

export function wait_for_bind(c: Connection, event: C2sMessage | KernelEvent, otherwise: () => C2sState): C2sState {
  if (event.kind === 'reply') return event.name === 'resume' ? resumeAnswered(c, event) : bound(c, event);
  if (event.kind === 'timeout' && event.name === 'resume') return askToResume(c, c.pendingIdentity!);
  if (event.kind !== 'element') return otherwise();
  if (event.ns === NS_SM) return manageBeforeBind(c, event, 'wait_for_bind');
  if (event.ns !== NS.client || (event.name !== 'iq' && event.name !== 'message' && event.name !== 'presence')) {
    // "any further <authenticate> element MUST result in a stream error": XEP-0388 §Multiple Authentication
    return c.fail(event.ns === NS.sasl || event.ns === NS.sasl2 ? 'policy-violation' : 'unsupported-stanza-type'); // RFC 6120 §4.9.3.24
  }
  if (event.name !== 'iq') return c.fail('not-authorized'); // §7.1: no stanza before binding
  const id = attributeOf(event, 'id');
  const type = attributeOf(event, 'type');
  const head = event.children[0];
  if (type !== 'set' || id === undefined || head?.name !== 'bind' || head.ns !== NS.bind) return c.fail('not-authorized');
  const wanted = wantedResource(event);
  const resource = wanted === undefined || wanted === '' ? undefined : normalizeResource(wanted);
  if (wanted !== undefined && wanted !== '' && resource === undefined) return refuse(c, id, 'bad-request'); // §7.7.2.1
  const { account } = c;
  const identity = c.makeIdentity();
  c.bindId = id;
  c.pendingIdentity = identity;
  c.turn.askTo('bind', 'account', account!.jid.bare, BIND_TIMEOUT_MS, (replyTo) => ({
    kind: 'bind' as const,
    replyTo,
    identity,
    resource,
    isAnonymous: account!.isAnonymous,
  }));
  return 'wait_for_bind';
}

/** Undefined where the server is to choose. */
function wantedResource(frame: Frame): string | undefined {
  const usual = USUAL_BIND.exec(frame.body);
  if (usual !== null) return usual[1];
  return elementOf(frame)?.child('bind', NS.bind)?.child('resource', NS.bind)?.text();
}

/** How nearly every client says it: nothing that needs a tree. */
const USUAL_BIND =
  /^<bind xmlns=(?:'urn:ietf:params:xml:ns:xmpp-bind'|"urn:ietf:params:xml:ns:xmpp-bind")(?:\/>|><resource>([^<>&\r\n]*)<\/resource><\/bind>)$/;

function bound(c: Connection, event: Extract<KernelEvent, { kind: 'reply' }>): C2sState {
  const id = c.bindId!;
  if (!event.ok) {
    // Should it come to that after all, nobody would end it.
    const unbind: Unbind = { kind: 'unbind', sid: c.pendingIdentity!.sid, reason: 'client_gone' };
    c.turn.sendTo('account', c.account!.jid.bare, unbind);
    return refuse(c, id, 'internal-server-error');
  }
  const answer = event.value as BindAnswer;
  if (!answer.ok) return refuse(c, id, answer.condition);
  const { account, resource, taken } = answer;
  const jid = c.account!.jid.withResource(resource)!;
  const result = el('iq', NS.client, { type: 'result', id }, el('bind', NS.bind, {}, el('jid', NS.bind, {}, jid.full)));
  c.environment.counters.bound++;
  const beginning = { identity: c.pendingIdentity!, account, resource, given: new Given(taken), sm: undefined, seq: 0 };
  return beginSession(c, beginning, serialize(result, NS.client));
}

/** The client may try again. RFC 6120 §7.7.2 */
function refuse(c: Connection, id: string, condition: Condition): C2sState {
  const error = el('iq', NS.client, { type: 'error', id }, stanzaErrorElement(new StanzaError(condition)));
  c.link.write(serialize(error, NS.client));
  c.link.request(1);
  return 'wait_for_bind';
}
