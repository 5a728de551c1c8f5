/** Every account is a publish-subscribe service of its own. XEP-0163, and what of XEP-0060 it needs */
import type { AccountContext } from '../../core/context.ts';
import { defineModule, type IqAnswer, type IqRequest } from '../../core/module.ts';
import { NS } from '../../xmpp/namespaces.ts';
import { StanzaError } from '../../xmpp/stanza-error.ts';
import type { Stanza } from '../../xmpp/stanza.ts';
import { ACCOUNT_FEATURES, answerPubsub, itemsOfNode, nodeInfo, nodeItems, PUBSUB, PUBSUB_OWNER, takeApproval } from '../pubsub/index.ts';
import { hear, hearOwn, takeAnswer } from './audience.ts';
import { PEP_OPTIONS } from './options.ts';
import { greet, placeOf } from './place.ts';
import { PEP } from './state.ts';

export { ownNode, publishOwn, readOwn, reconfigureOwn, retractOwn } from './own.ts';

export default defineModule({
  name: 'pep',
  implements: [
    {
      spec: 'XEP-0060',
      version: '1.30.0',
      status: 'partial',
      note: 'of accounts; without collections, digests and subscription by ad-hoc form',
    },
    { spec: 'XEP-0163', version: '1.2.2', status: 'complete', note: 'no replyto (§4.3.1): it tells contacts the resource' },
    { spec: 'XEP-0080', version: '1.10.0', status: 'complete', note: 'as any payload' },
    { spec: 'XEP-0107', version: '1.2.2', status: 'complete', note: 'as any payload' },
    { spec: 'XEP-0108', version: '1.3', status: 'complete', note: 'as any payload' },
    { spec: 'XEP-0118', version: '1.3.0', status: 'complete', note: 'as any payload' },
    { spec: 'XEP-0172', version: '1.1', status: 'complete', note: 'as any payload' },
    { spec: 'XEP-0222', version: '1.0', status: 'complete' },
    { spec: 'XEP-0223', version: '1.1.1', status: 'complete' },
    { spec: 'XEP-0292', version: '0.12.0', status: 'complete', note: 'as any payload' },
    { spec: 'XEP-0384', version: '0.9.1', status: 'complete', note: 'what it asks of a server: §5.3, §6.2' },
  ],
  needs: ['roster', 'disco', 'pubsub'],
  config: PEP_OPTIONS,
  slots: [PEP],
  accountFeatures: ACCOUNT_FEATURES,
  accountIdentities: [{ category: 'pubsub', type: 'pep' }], // XEP-0163 §6.1
  accountNodes: {
    items: (account, from) => nodeItems(placeOf(account), from),
    info: (account, node, from) => nodeInfo(placeOf(account), node, from),
    itemsOf: (account, node, from) => itemsOfNode(placeOf(account), node, from),
  },
  iq: [
    { type: 'get', to: 'account', from: 'anyone', refusal: notFound, payload: ['pubsub', PUBSUB], run: answer },
    { type: 'set', to: 'account', from: 'anyone', refusal: notFound, payload: ['pubsub', PUBSUB], run: answer },
    { type: 'get', to: 'account', from: 'anyone', refusal: notFound, payload: ['pubsub', PUBSUB_OWNER], run: answer },
    { type: 'set', to: 'account', from: 'anyone', refusal: notFound, payload: ['pubsub', PUBSUB_OWNER], run: answer },
  ],
  hooks: {
    user_receive_presence: { phase: 'observe', run: (stanza, account) => hear(stanza, account, greet) },
    user_receive_iq: { phase: 'deliver', run: (stanza, account) => takeAnswer(stanza, account, greet) },
    user_receive_message: { phase: 'deliver', run: approve },
    session_presence: (account, session) => hearOwn(account, session, greet),
  },
});

function answer(request: IqRequest, account: AccountContext): IqAnswer {
  return account.isTemporary ? new StanzaError('service-unavailable') : answerPubsub(placeOf(account), request);
}

/** Where there is no account: what a stranger gets who asks one of ours for a node that is not there. */
function notFound({ to }: Stanza): IqAnswer {
  return new StanzaError(to.isBare ? 'item-not-found' : 'service-unavailable');
}

/** An owner answers whether somebody may subscribe: XEP-0060 §8.6 */
function approve(stanza: Stanza, account: AccountContext): boolean | StanzaError {
  return stanza.to.isBare && stanza.has('x', NS.dataForm) && stanza.type !== 'error' ? takeApproval(placeOf(account), stanza) : false;
}
