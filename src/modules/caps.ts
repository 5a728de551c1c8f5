import { defineModule } from '../core/module.ts';
import { capsElement } from '../xmpp/caps.ts';
import { NS } from '../xmpp/namespaces.ts';
import { hostInfo } from './disco.ts';

/**
 * XEP-0115: the server's own capabilities among the stream features, so that clients need not ask on
 * every login. Those of clients pass through unchanged.
 */
export default defineModule({
  name: 'caps',
  implements: [{ spec: 'XEP-0115', version: '1.6.0', status: 'complete', note: 'presence is not optimised (§8.4)' }],
  needs: ['disco'],
  features: [NS.caps],
  streamFeatures: ({ host }, isAuthenticated) => (isAuthenticated ? [capsElement(hostInfo(host).caps)] : []), // §6.3
});
