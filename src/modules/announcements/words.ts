/** What is told, and who has been told. */
import { randomUUID } from 'node:crypto';
import { hostSetting } from '../../core/host-settings.ts';
import type { Host } from '../../core/host.ts';
import type { AccountSlot } from '../../core/module.ts';
import { jsonTable } from '../../store/codec.ts';
import { el } from '../../xml/element.ts';
import type { Jid } from '../../xmpp/jid.ts';
import { NS } from '../../xmpp/namespaces.ts';
import { makeStanza, type MessageType, type Stanza } from '../../xmpp/stanza.ts';

export interface Words {
  /** Also that of the message. */
  readonly id: string;
  readonly subject?: string | undefined;
  readonly text: string;
}

export const MOTD = hostSetting<Words>('motd');
export const WELCOME = hostSetting<Words>('welcome');

/** The message of the day that the account has got last. */
export const SEEN = jsonTable<{ readonly id: string }>({ name: 'seen_motd', version: 1 });

export const SEEN_MOTD: AccountSlot<{ id: string | undefined }> = {
  name: 'seen_motd',
  load: async (store, bare) => ({ id: (await store.get(SEEN, bare, []))?.id }),
};

export function makeWords(text: string, subject: string | undefined): Words {
  return { id: randomUUID(), text, ...(subject === undefined ? {} : { subject }) };
}

export function messageTo(host: Host, to: Jid, type: MessageType, { id, subject, text }: Words): Stanza {
  const content = [subject === undefined ? undefined : el('subject', NS.client, {}, subject), el('body', NS.client, {}, text)];
  return makeStanza({ kind: 'message', type, id, from: host.jid, to }, ...content);
}

/** Of a message that says something. */
export function bodyOf(stanza: Stanza): { readonly text: string; readonly subject: string | undefined } | undefined {
  const text = stanza.child('body', NS.client)?.text() ?? '';
  const subject = stanza.child('subject', NS.client)?.text() ?? '';
  return text === '' ? undefined : { text, subject: subject === '' ? undefined : subject };
}
