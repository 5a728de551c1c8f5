/**
 * Commands that wait for a form. In memory of the worker that serves the requester, which is always the same one for a client of
 * ours; bounded per account and in all. XEP-0050 §3.3
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { AdhocCommand, AdhocValues } from '../../core/adhoc.ts';
import type { Host } from '../../core/host.ts';
import type { Jid } from '../../xmpp/jid.ts';
import type { StanzaError } from '../../xmpp/stanza-error.ts';
import { badRequest, sessionExpired } from './errors.ts';

/** Of one host on one worker; the oldest gives way. */
const MAX_SESSIONS = 5_000;
const ID_BYTES = 16;

export interface AdhocSession {
  readonly id: string;
  readonly command: AdhocCommand;
  /** Full JID. */
  readonly owner: string;
  /** Its bare JID. */
  readonly account: string;
  /** Of the stage that is shown. */
  index: number;
  /** What was filled in, by stage. */
  readonly values: AdhocValues[];
  expiresAtMs: number;
}

export class AdhocSessions {
  private readonly secret: Buffer;
  /** Those that wait, the one that waits longest first. */
  private readonly waiting = new Map<string, AdhocSession>();

  constructor(secret: Buffer) {
    this.secret = secret;
  }

  /** Not in the table yet: `putBack` puts it there when a form is shown. */
  begin(
    command: AdhocCommand,
    owner: Jid,
    { now, timeoutMs, perAccount }: { readonly now: number; readonly timeoutMs: number; readonly perAccount: number },
  ): AdhocSession {
    this.dropExpired(now);
    const own = [...this.waiting.values()].filter(({ account }) => account === owner.bare);
    for (const { id } of own.slice(0, Math.max(0, own.length - perAccount + 1))) this.waiting.delete(id);
    const nonce = randomBytes(ID_BYTES).toString('base64url');
    const id = `${nonce}.${this.mark(nonce, command.node, owner.full)}`;
    return { id, command, owner: owner.full, account: owner.bare, index: 0, values: [], expiresAtMs: now + timeoutMs };
  }

  /** Takes it out, so that nothing else goes on with it meanwhile. */
  take(id: string, { node }: AdhocCommand, owner: Jid, now: number): AdhocSession | StanzaError {
    const session = this.waiting.get(id);
    if (session !== undefined && session.owner === owner.full && session.command.node === node) {
      this.waiting.delete(id);
      return session.expiresAtMs > now ? session : sessionExpired();
    }
    return this.isOurs(id, node, owner.full) ? sessionExpired() : badRequest('bad-sessionid'); // §4.4
  }

  putBack(session: AdhocSession, now: number, timeoutMs: number): void {
    session.expiresAtMs = now + timeoutMs;
    this.waiting.delete(session.id);
    this.waiting.set(session.id, session);
    if (this.waiting.size > MAX_SESSIONS) this.waiting.delete(this.waiting.keys().next().value!);
  }

  get size(): number {
    return this.waiting.size;
  }

  private dropExpired(now: number): void {
    for (const { id, expiresAtMs } of this.waiting.values()) {
      if (expiresAtMs > now) return;
      this.waiting.delete(id);
    }
  }

  /** An id says by itself for whom and what it was made, so those that are over need not be remembered. */
  private isOurs(id: string, node: string, owner: string): boolean {
    const [nonce = '', mark = ''] = id.split('.');
    const expected = Buffer.from(this.mark(nonce, node, owner));
    const given = Buffer.from(mark);
    return given.length === expected.length && timingSafeEqual(given, expected);
  }

  private mark(nonce: string, node: string, owner: string): string {
    return createHmac('sha256', this.secret).update(`adhoc\0${nonce}\0${node}\0${owner}`).digest('base64url').slice(0, 22);
  }
}

const known = new WeakMap<Host, AdhocSessions>();

/** Those of this host on this worker. */
export function sessionsOf(host: Host): AdhocSessions {
  let sessions = known.get(host);
  if (sessions === undefined) known.set(host, (sessions = new AdhocSessions(host.services.secret)));
  return sessions;
}
