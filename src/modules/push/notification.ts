/** What a push service is sent. XEP-0357 §7 */
import { createHmac, randomUUID } from 'node:crypto';
import type { AccountContext } from '../../core/context.ts';
import { el } from '../../xml/element.ts';
import { escapeAttr, serialize } from '../../xml/serialize.ts';
import { dataFormElement, type FormField } from '../../xmpp/data-form.ts';
import { NS as CORE } from '../../xmpp/namespaces.ts';
import { Stanza } from '../../xmpp/stanza.ts';
import { optionsOf } from './options.ts';
import type { PushService } from './services.ts';

export const NS = 'urn:xmpp:push:0';
const SUMMARY = 'urn:xmpp:push:summary';
const PUBSUB = 'http://jabber.org/protocol/pubsub';

/** Of a body that is passed on. UTF-16 units. */
const MAX_BODY_LENGTH = 1_000;

/** @param message that it tells of; undefined where only the number of messages is known. */
export function notification(account: AccountContext, service: PushService, message: Stanza | undefined): Stanza {
  const { node, jid, row } = service;
  const form = dataFormElement({ kind: 'form', fields: summary(account, row.count, message) });
  const item = serialize(el('item', PUBSUB, { id: itemId(account, service) }, el('notification', NS, {}, form)), PUBSUB);
  const name = node === '' ? '' : ` node='${escapeAttr(node)}'`;
  const options = row.form === undefined ? '' : `<publish-options>${row.form}</publish-options>`;
  return new Stanza({
    kind: 'iq',
    type: 'set',
    id: randomUUID(),
    from: account.jid,
    to: jid,
    body: `<pubsub xmlns='${PUBSUB}'><publish${name}>${item}</publish>${options}</pubsub>`,
    children: [{ name: 'pubsub', ns: PUBSUB }],
  });
}

/** The same for the same message, so that a service recognises one that comes again; it tells nothing of how many there were. */
function itemId({ bare, host }: AccountContext, { jid, node, row }: PushService): string {
  const what = JSON.stringify(['push', bare, jid.full, node, row.due]);
  return createHmac('sha256', host.services.secret).update(what).digest('base64url').slice(0, 22);
}

/** §9: "can leak sensitive data", so little of it unless the operator says otherwise. */
function summary(account: AccountContext, count: number, message: Stanza | undefined): FormField[] {
  const { with_sender, with_body, placeholder } = optionsOf(account);
  const fields: FormField[] = [
    { var: 'FORM_TYPE', type: 'hidden', values: [SUMMARY] },
    { var: 'message-count', values: [String(count)] },
  ];
  if (with_sender && message !== undefined) fields.push({ var: 'last-message-sender', values: [message.from.full] });
  const text = with_body ? message?.child('body', CORE.client)?.text() : undefined;
  const shown = text === undefined ? placeholder : text.slice(0, MAX_BODY_LENGTH).toWellFormed();
  if (shown !== '') fields.push({ var: 'last-message-body', values: [shown] });
  return fields;
}
