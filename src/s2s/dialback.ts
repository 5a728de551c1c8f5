/** Dialback keys and elements. XEP-0185, XEP-0220 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { elementOf } from '../xml/tree.ts';
import type { Frame } from '../xml/frame.ts';
import { escapeAttr, escapeText } from '../xml/serialize.ts';
import { parseJid } from '../xmpp/jid.ts';
import { NS } from '../xmpp/namespaces.ts';
import { CONDITIONS, type Condition } from '../xmpp/stanza-error.ts';
import { attributeOf } from '../stream/header.ts';

/** A key is 64 digits of ours; others' are no longer than this. */
const MAX_KEY_LENGTH = 1_024;

/** What the keys of an installation come from: hexadecimal, as XEP-0185 wants it. @param secret of the installation. */
export function dialbackSecret(secret: Buffer): string {
  return createHash('sha256').update('dialback ').update(secret).digest('hex');
}

/**
 * The key that proves to `receiving` that whoever sends it on its stream `id` speaks for `originating`. Both names are in it, so a
 * key for one of our domains is none for another. XEP-0185 §2
 */
export function dialbackKey(secret: string, receiving: string, originating: string, id: string): string {
  return createHmac('sha256', secret).update(`${receiving} ${originating} ${id}`).digest('hex');
}

/** In constant time. */
export function isSameKey(key: string, expected: string): boolean {
  const given = Buffer.from(key);
  const own = Buffer.from(expected);
  return given.length === own.length && timingSafeEqual(given, own);
}

/** A `db:result` or `db:verify`; requests have a key and no type. */
export interface DialbackElement {
  readonly name: 'result' | 'verify';
  /** Domains, normalised. */
  readonly from: string;
  readonly to: string;
  /** Of `verify` only: a stream's. */
  readonly id: string | undefined;
  readonly type: 'valid' | 'invalid' | 'error' | undefined;
  readonly key: string;
  /** Of type `error`. XEP-0220 §2.4.2 */
  readonly condition: Condition | undefined;
}

/** @returns undefined for what is none: the addresses are no domains, a `verify` has no id, or the type is unknown. */
export function readDialback(frame: Frame): DialbackElement | undefined {
  const { name } = frame;
  if (frame.ns !== NS.dialback || (name !== 'result' && name !== 'verify')) return undefined;
  const from = parseJid(attributeOf(frame, 'from') ?? '');
  const to = parseJid(attributeOf(frame, 'to') ?? '');
  const id = attributeOf(frame, 'id');
  const type = attributeOf(frame, 'type');
  if (from?.isDomain !== true || to?.isDomain !== true) return undefined;
  if (name === 'verify' && (id === undefined || id === '')) return undefined;
  if (type !== undefined && type !== 'valid' && type !== 'invalid' && type !== 'error') return undefined;
  const element = elementOf(frame);
  const key = element?.text().trim() ?? '';
  if (key.length > MAX_KEY_LENGTH || (type === undefined && key === '')) return undefined;
  const error = element?.elements().find((child) => child.name === 'error');
  const condition = error?.elements().find(({ ns, name: each }) => ns === NS.stanzaErrors && Object.hasOwn(CONDITIONS, each));
  return { name, from: from.full, to: to.full, id, type, key, condition: condition?.name as Condition | undefined };
}

export interface DialbackInit {
  readonly from: string;
  readonly to: string;
  readonly id?: string | undefined;
}

/** A request: step 1 (`result`) or 2 (`verify`). The prefix is the one our header declares; others are not understood everywhere. */
export function dialbackRequest(name: 'result' | 'verify', init: DialbackInit, key: string): string {
  return `<db:${name}${attributes(init)}>${escapeText(key)}</db:${name}>`;
}

/** An answer: step 3 (`verify`) or 4 (`result`); a condition makes it one of type `error`. */
export function dialbackAnswer(name: 'result' | 'verify', init: DialbackInit, outcome: 'valid' | 'invalid' | Condition): string {
  const tag = `<db:${name}${attributes(init)}`;
  if (outcome === 'valid' || outcome === 'invalid') return `${tag} type='${outcome}'/>`;
  const error = `<error type='${CONDITIONS[outcome]}'><${outcome} xmlns='${NS.stanzaErrors}'/></error>`;
  return `${tag} type='error'>${error}</db:${name}>`;
}

function attributes({ from, to, id }: DialbackInit): string {
  return ` from='${escapeAttr(from)}' to='${escapeAttr(to)}'${id === undefined ? '' : ` id='${escapeAttr(id)}'`}`;
}
