/**
 * Subscription requests that wait for the user's answer. They are kept apart from the roster: until
 * the user approves, the contact MUST NOT become an item. RFC 6121 §3.1.3
 */
import type { AccountContext } from '../../core/context.ts';
import { jsonTable } from '../../store/codec.ts';
import type { ChildHead } from '../../xml/frame.ts';
import type { Jid } from '../../xmpp/jid.ts';
import { Stanza } from '../../xmpp/stanza.ts';
import { optionsOf } from './options.ts';

/** The complete stanza less its addresses; the row's key is the contact's bare JID. */
export interface SubscriptionRequest {
  readonly id?: string | undefined;
  readonly lang?: string | undefined;
  /** Inner XML: status, nick and the like. */
  readonly body: string;
  readonly children: readonly ChildHead[];
}

export const REQUESTS = jsonTable<SubscriptionRequest>({ name: 'roster_request', version: 1 });

/** Bigger ones, id and language included, are kept as mere requests, so that a stranger cannot fill the store. RFC 6121 §3.1.3 */
export const MAX_REQUEST_LENGTH = 4096;

/** What is kept of a `subscribe` stanza. */
export function requestOf({ id, lang, body, children }: Stanza): SubscriptionRequest {
  const length = body.length + (id?.length ?? 0) + (lang?.length ?? 0);
  return length > MAX_REQUEST_LENGTH ? { body: '', children: [] } : { id, lang, body, children };
}

/** The stanza again, between bare JIDs. */
export function requestStanza({ id, lang, body, children }: SubscriptionRequest, from: Jid, to: Jid): Stanza {
  return new Stanza({ kind: 'presence', type: 'subscribe', id, lang, body, children, from, to });
}

/** Whether so many requests wait that no further one is kept. */
export function areRequestsFull(account: AccountContext, waiting: number): boolean {
  return waiting >= optionsOf(account).max_requests;
}
