/** What most stanzas have in common, by numbers: shorter in rows, and cheaper between threads than the words. */
import type { ChildHead } from '../xml/frame.ts';
import type { StanzaType } from './stanza.ts';

/** By their places, which rows on disk know: nothing is ever taken out or moved. */
export const STANZA_TYPES: readonly StanzaType[] = [
  'normal',
  'chat',
  'groupchat',
  'headline',
  'error',
  'available',
  'unavailable',
  'subscribe',
  'subscribed',
  'unsubscribe',
  'unsubscribed',
  'probe',
  'get',
  'set',
  'result',
];

/** Direct children that most messages have, likewise by their places, from 1. Those not named here are spelled out. */
export const FAMILIAR: readonly ChildHead[] = [
  { name: 'body', ns: 'jabber:client' },
  { name: 'origin-id', ns: 'urn:xmpp:sid:0' },
  { name: 'request', ns: 'urn:xmpp:receipts' },
  { name: 'received', ns: 'urn:xmpp:receipts' },
  { name: 'markable', ns: 'urn:xmpp:chat-markers:0' },
  { name: 'displayed', ns: 'urn:xmpp:chat-markers:0' },
  { name: 'active', ns: 'http://jabber.org/protocol/chatstates' },
  { name: 'composing', ns: 'http://jabber.org/protocol/chatstates' },
  { name: 'paused', ns: 'http://jabber.org/protocol/chatstates' },
  { name: 'encrypted', ns: 'eu.siacs.conversations.axolotl' },
  { name: 'encryption', ns: 'urn:xmpp:eme:0' },
  { name: 'store', ns: 'urn:xmpp:hints' },
  { name: 'x', ns: 'jabber:x:oob' },
  { name: 'thread', ns: 'jabber:client' },
  { name: 'stanza-id', ns: 'urn:xmpp:sid:0' },
  { name: 'x', ns: 'http://jabber.org/protocol/muc#user' },
  { name: 'reply', ns: 'urn:xmpp:reply:0' },
  { name: 'fallback', ns: 'urn:xmpp:fallback:0' },
  { name: 'replace', ns: 'urn:xmpp:message-correct:0' },
  { name: 'reactions', ns: 'urn:xmpp:reactions:0' },
];

/** Its place from 1; 0 where it has none. */
export function familiarAs(name: string, ns: string): number {
  for (let i = 0; i < FAMILIAR.length; i++) if (FAMILIAR[i]!.name === name && FAMILIAR[i]!.ns === ns) return i + 1;
  return 0;
}
