/** Push notifications: services of client makers are told that there are messages, so that they wake the client. XEP-0357 */
import type { AccountContext } from '../../core/context.ts';
import { defineModule, EMPTY_RESULT, type IqAnswer, type IqRequest } from '../../core/module.ts';
import type { Element } from '../../xml/element.ts';
import { serialize } from '../../xml/serialize.ts';
import { parseJid, type Jid } from '../../xmpp/jid.ts';
import { NS as CORE } from '../../xmpp/namespaces.ts';
import { StanzaError } from '../../xmpp/stanza-error.ts';
import { NS } from './notification.ts';
import { noteMessage, noteSeen, noteUnseen, notifyAgain, takeAnswer } from './notifying.ts';
import { OPTIONS } from './options.ts';
import { enableService, forgetAll, forgetService, noteActivity, PUSH, SERVICES, servicesOf } from './services.ts';

const PUBLISH_OPTIONS = 'http://jabber.org/protocol/pubsub#publish-options';

/** Of a node's name, and of publish options as XML; both are kept. UTF-16 units. */
const MAX_NODE_LENGTH = 1_024;
const MAX_FORM_LENGTH = 4_096;

export default defineModule({
  name: 'push',
  implements: [
    { spec: 'XEP-0357', version: '0.4.1', status: 'complete', note: 'services at any address; no message bodies unless configured' },
  ],
  config: OPTIONS,
  tables: [SERVICES],
  slots: [PUSH],
  accountFeatures: [NS], // §4.1
  iq: [
    { type: 'set', to: 'account', payload: ['enable', NS], run: enable },
    { type: 'set', to: 'account', payload: ['disable', NS], run: disable },
  ],
  hooks: {
    user_receive_iq: { phase: 'filter', run: takeAnswer },
    message_delivered: noteMessage,
    message_kept: noteMessage,
    session_detached: noteUnseen,
    session_closing: (account, session, reason) => {
      if (reason !== 'client_closed') noteUnseen(account, session);
    },
    session_resumed: (account, session) => {
      noteActivity(session, true); // XEP-0352 §5.2
      noteSeen(account, session);
    },
    client_state: (account, session, isActive) => {
      noteActivity(session, isActive);
      if (isActive) noteSeen(account, session);
    },
    woken: notifyAgain,
    account_removing: forgetAll,
  },
});

/** §5 */
function enable({ payload, session }: IqRequest, account: AccountContext): IqAnswer {
  const service = addressOf(payload);
  if (service instanceof StanzaError) return service;
  if (session === undefined || account.isTemporary) return new StanzaError('not-allowed');
  if (service.bare === account.bare) return new StanzaError('not-allowed', 'An account is no push service of its own');
  const form = formOf(payload);
  if (form instanceof StanzaError) return form;
  const node = payload.attr('node') ?? '';
  if (node.length > MAX_NODE_LENGTH) return new StanzaError('not-acceptable', 'The name of the node is too long');
  enableService(account, session, service, node, form);
  return EMPTY_RESULT;
}

/** §6: one node, or all of the service. */
function disable({ payload }: IqRequest, account: AccountContext): IqAnswer {
  const service = addressOf(payload);
  if (service instanceof StanzaError) return service;
  const node = payload.attr('node');
  for (const each of servicesOf(account)) {
    if (each.jid.full === service.full && (node === undefined || each.node === node)) forgetService(account, each);
  }
  return EMPTY_RESULT;
}

function addressOf(payload: Element): Jid | StanzaError {
  const text = payload.attr('jid');
  if (text === undefined) return new StanzaError('bad-request', 'The push service is not named');
  return parseJid(text) ?? new StanzaError('jid-malformed');
}

/** Kept as it is: what it says is between client and service. */
function formOf(payload: Element): string | undefined | StanzaError {
  const form = payload.child('x', CORE.dataForm);
  if (form === undefined) return undefined;
  const type = form.childrenNamed('field').find((field) => field.attr('var') === 'FORM_TYPE');
  if (type?.child('value')?.text() !== PUBLISH_OPTIONS) return new StanzaError('bad-request', 'Only publish options are taken');
  const xml = serialize(form, '');
  return xml.length > MAX_FORM_LENGTH ? new StanzaError('not-acceptable', 'The publish options are too long') : xml;
}
