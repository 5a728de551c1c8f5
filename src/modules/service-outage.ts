/** Where clients can read, while this server is down, whether that was meant. XEP-0455 */
import { z } from 'zod';
import { defineModule } from '../core/module.ts';
import type { Host } from '../core/host.ts';
import { formTypeField, type DataForm } from '../xmpp/data-form.ts';

const isWebAddress = (value: string): boolean => /^https?:$/.test(URL.parse(value)?.protocol ?? '');

const OPTIONS = z.strictObject({
  /** Web addresses of the status, on other machines: JSON as XEP-0455 §4.2 has it. */
  addresses: z
    .array(z.string().refine(isWebAddress, 'expected a web address, such as https://status.example.net/xmpp.json'))
    .max(20)
    .default([]),
});

const serviceOutage = defineModule({
  name: 'service_outage',
  implements: [{ spec: 'XEP-0455', version: '0.4.0', status: 'complete', note: 'the file itself is the operator’s' }],
  needs: ['disco'],
  config: OPTIONS,
  serverForms: statusForm,
});
export default serviceOutage;

/** §4.1 */
function statusForm(host: Host): DataForm[] {
  const { addresses } = host.moduleConfig(serviceOutage);
  if (addresses.length === 0) return [];
  const field = { var: 'external-status-addresses', type: 'list-multi' as const, values: addresses };
  return [{ kind: 'result', fields: [formTypeField('urn:xmpp:sos:0'), field] }];
}
