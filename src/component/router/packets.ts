/**
 * What is said on a link of jabberd2's router, learnt from jabberd2 2.7.0 itself (router, sm, c2s and s2s on a wire):
 *
 *   bind      name, multi ('to' | 'from'), children <default/> and <log/>    answered with a bind, or one with an error (400, 403, 409)
 *   unbind    name                                                          likewise (400, 404)
 *   route     from, to, type ('broadcast'), around a stanza or whatever     comes back with error='400' | '401' | '404'
 *   presence  from, type ('unavailable')                                    the router's word of names that come and go
 *   throttle                                                                comes back when all that was sent before has left
 */
import { attributeOf } from '../../stream/header.ts';
import { Framer } from '../../xml/framer.ts';
import type { Frame, FramerLimits } from '../../xml/frame.ts';
import { escapeAttr } from '../../xml/serialize.ts';
import { NS } from '../../xmpp/namespaces.ts';
import type { Stanza } from '../../xmpp/stanza.ts';
import type { RoutePacket } from '../messages.ts';

export const NS_ROUTER = 'http://jabberd.jabberstudio.org/ns/component/1.0';

/** Numbers of HTTP, as jabberd2's components expect them. */
export type RouterError = '400' | '401' | '403' | '404' | '409';

const attribute = (name: string, value: string | undefined): string => (value === undefined ? '' : ` ${name}='${escapeAttr(value)}'`);

export function packetXml({ from, to, type, error, body }: Omit<RoutePacket, 'kind' | 'bytes'>): string {
  const attributes = attribute('error', error) + attribute('type', type) + attribute('to', to) + attribute('from', from);
  return `<route xmlns='${NS_ROUTER}'${attributes}>${body}</route>`;
}

export function readPacket(frame: Frame): RoutePacket {
  const { body, bytes } = frame;
  const value = (name: string): string | undefined => attributeOf(frame, name);
  return { kind: 'route_packet', from: value('from'), to: value('to'), type: value('type'), error: value('error'), body, bytes };
}

/** The stanza of a user of ours in its packet. */
export function wrapped(stanza: Stanza): string {
  const { kind, from, to } = stanza;
  const body = `<${kind} xmlns='${NS.client}'${stanza.toXml().slice(kind.length + 1)}`;
  return packetXml({ from: from.domain, to: to.domain, type: undefined, error: undefined, body });
}

/** The one stanza that a packet is around; undefined where it is anything else. It has been checked as part of the packet. */
export function stanzaIn({ body }: RoutePacket, limits: FramerLimits): Frame | undefined {
  const framer = new Framer({ limits, contentNs: NS_ROUTER });
  framer.push(Buffer.from(body));
  const frame = framer.next();
  if (frame?.kind !== 'element' || frame.ns !== NS.client || framer.buffered > 0) return undefined;
  return frame.name === 'message' || frame.name === 'presence' || frame.name === 'iq' ? frame : undefined;
}

export interface BindRequest {
  readonly name: string | undefined;
  readonly multi: 'to' | 'from' | undefined;
  readonly isDefault: boolean;
  readonly isLog: boolean;
}

export function readBind(frame: Frame): BindRequest {
  const multi = attributeOf(frame, 'multi');
  const has = (name: string): boolean => frame.children.some((child) => child.name === name && child.ns === NS_ROUTER);
  return {
    name: attributeOf(frame, 'name'),
    multi: multi === 'to' || multi === 'from' ? multi : undefined,
    isDefault: has('default'),
    isLog: has('log'),
  };
}

/** The answer repeats what was asked for, but for the name. */
export function bindAnswer({ multi, isDefault, isLog }: BindRequest, error?: RouterError): string {
  const attributes = attribute('error', error) + attribute('multi', multi);
  return `<bind xmlns='${NS_ROUTER}'${attributes}>${isDefault ? '<default/>' : ''}${isLog ? '<log/>' : ''}</bind>`;
}

export const unbindAnswer = (error?: RouterError): string => `<unbind xmlns='${NS_ROUTER}'${attribute('error', error)}/>`;

export function nameXml(name: string, isThere: boolean): string {
  return `<presence xmlns='${NS_ROUTER}'${isThere ? '' : ` type='unavailable'`} from='${escapeAttr(name)}'/>`;
}

export function throttleXml(frame: Frame): string {
  return `<throttle xmlns='${NS_ROUTER}'${attribute('to', attributeOf(frame, 'to'))}${attribute('from', attributeOf(frame, 'from'))}/>`;
}
