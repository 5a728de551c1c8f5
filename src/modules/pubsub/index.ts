/**
 * Publish-subscribe: the engine, which accounts have nodes by as well (see pep), and a service with a domain of its own.
 * XEP-0060. What other modules may use is exported here.
 */
import { defineModule } from '../../core/module.ts';
import { PUBSUB_OPTIONS, PUBSUB_SERVICE } from './service.ts';
import { PUBSUB_PORTABLE } from './portable.ts';
import { TABLES } from './rows.ts';

export { maySee } from './access.ts';
export { takeApproval } from './approval.ts';
export { accountDefaults, withOptions, type AccessModel, type NodeConfig, type PublishOptions } from './config.ts';
export { ACCOUNT_FEATURES, itemsOfNode, nodeInfo, nodeItems } from './disco.ts';
export { lastItemEvent } from './events.ts';
export { PUBSUB, PUBSUB_OWNER } from './namespaces.ts';
export type { Node, Nodes } from './node.ts';
export { createNode } from './nodes.ts';
export { Place, type Ground, type Limits, type ReadItem, type Rules } from './place.ts';
export { configLimits, putItem, retractItems } from './publish.ts';
export { answerPubsub } from './request.ts';
export { loadNodes } from './rows.ts';

export default defineModule({
  name: 'pubsub',
  implements: [
    {
      spec: 'XEP-0060',
      version: '1.30.0',
      status: 'partial',
      note: 'without collections, digests, subscription by presence and ad-hoc get-pending',
    },
  ],
  config: PUBSUB_OPTIONS,
  tables: TABLES,
  portable: PUBSUB_PORTABLE,
  service: PUBSUB_SERVICE,
});
