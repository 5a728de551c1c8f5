/** Entity time. XEP-0202 */
import { defineModule, type IqRequest } from '../core/module.ts';
import type { HostContext } from '../core/context.ts';
import { el, type Element } from '../xml/element.ts';
import { formatDateTime } from '../xmpp/date-time.ts';

const NS = 'urn:xmpp:time';

export default defineModule({
  name: 'time',
  implements: [{ spec: 'XEP-0202', version: '2.0', status: 'complete' }],
  features: [NS],
  iq: [
    { type: 'get', to: 'server', payload: ['time', NS], run: tellTime },
    { type: 'get', to: 'service', payload: ['time', NS], run: tellTime },
  ],
});

function tellTime(_request: IqRequest, { now }: HostContext): Element {
  return el('time', NS, {}, el('tzo', NS, {}, zoneOffset(new Date(now).getTimezoneOffset())), el('utc', NS, {}, formatDateTime(now))); // §2
}

/**
 * The numeric zone of XEP-0082 §2.
 *
 * @param minutes as `getTimezoneOffset` gives them: what has to be added to get UTC.
 */
export function zoneOffset(minutes: number): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  const distance = Math.abs(minutes);
  return `${minutes > 0 ? '-' : '+'}${two(Math.floor(distance / 60))}:${two(distance % 60)}`;
}
