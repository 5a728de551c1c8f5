/** Software version. XEP-0092 */
import { release, type } from 'node:os';
import { z } from 'zod';
import { flag } from '../config/types.ts';
import { defineModule, type IqRequest } from '../core/module.ts';
import type { HostContext } from '../core/context.ts';
import { el, type Element } from '../xml/element.ts';
import software from '../../package.json' with { type: 'json' };

const NS = 'jabber:iq:version';
const NAME = 'Rookery';

const OPTIONS = z.strictObject({
  /** Whether the version number is told. */
  show_version: flag().schema.default(true),
  /** Whether the operating system is told, which helps attackers. XEP-0092 §4 */
  show_os: flag().schema.default(false),
});

const version = defineModule({
  name: 'version',
  implements: [
    { spec: 'XEP-0092', version: '1.1', status: 'complete', note: 'the operating system is told only on request of the operator' },
  ],
  config: OPTIONS,
  features: [NS],
  iq: [
    { type: 'get', to: 'server', payload: ['query', NS], run: tellVersion },
    { type: 'get', to: 'service', payload: ['query', NS], run: tellVersion },
  ],
});
export default version;

function tellVersion(_request: IqRequest, { host }: HostContext): Element {
  const { show_version: showsVersion, show_os: showsOs } = host.moduleConfig(version);
  return el(
    'query',
    NS,
    {},
    el('name', NS, {}, NAME),
    el('version', NS, {}, showsVersion ? software.version : ''), // REQUIRED, so it stays where it is hidden
    showsOs && el('os', NS, {}, `${type()} ${release()}`),
  );
}
