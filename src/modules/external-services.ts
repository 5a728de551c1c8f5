/** Services outside of XMPP that clients need for calls, with credentials that work for a while. XEP-0215 */
import { createHmac } from 'node:crypto';
import { z } from 'zod';
import { count, duration } from '../config/types.ts';
import type { HostContext } from '../core/context.ts';
import { defineModule, type IqAnswer, type IqRequest, type ModuleSpec } from '../core/module.ts';
import { el, type Element } from '../xml/element.ts';
import { formatDateTime } from '../xmpp/date-time.ts';
import type { Jid } from '../xmpp/jid.ts';
import { StanzaError } from '../xmpp/stanza-error.ts';

const NS = 'urn:xmpp:extdisco:2';

const text = z.string().min(1).max(1_000);
const service = z
  .strictObject({
    type: z.string().regex(/^[A-Za-z_][\w.-]*$/, 'expected the type of a service, such as turn'),
    host: z.string().min(1).max(255),
    port: count({ min: 1, max: 65_535 }).schema.optional(),
    transport: z.enum(['udp', 'tcp']).optional(),
    name: text.optional(),
    secret: text.optional(),
    username: text.optional(),
    password: text.optional(),
  })
  .refine(({ secret, username, password }) => secret === undefined || (username === undefined && password === undefined), {
    message: 'expected either a secret or a username and a password',
  });

const OPTIONS = z.strictObject({
  /** The services, e.g. `[{ type = "turn", host = "turn.example.org", port = 3478, transport = "udp", secret = "…" }]`; `secret` is what coturn calls `static-auth-secret`, `username` and `password` are for services with fixed ones. */
  services: z.array(service).max(100).default([]),
  /** How long credentials made from a `secret` are good. */
  lifetime: duration({ min: 60_000, max: 30 * 86_400_000 }).schema.default(86_400_000),
});
type Service = z.output<typeof service>;

const externalServices: ModuleSpec<z.output<typeof OPTIONS>> = defineModule({
  name: 'external_services',
  implements: [{ spec: 'XEP-0215', version: '1.0.0', status: 'complete', note: 'for accounts of the host; changes are not pushed' }],
  config: OPTIONS,
  features: (host) => (host.moduleConfig(externalServices).services.length > 0 ? [NS] : []),
  iq: [
    { type: 'get', to: 'server', payload: ['services', NS], run: tellServices },
    { type: 'get', to: 'server', payload: ['credentials', NS], run: tellCredentials },
  ],
});
export default externalServices;

/** §3.1, §3.2 */
function tellServices({ payload, from, session }: IqRequest, context: HostContext): IqAnswer {
  if (session === undefined) return new StanzaError('forbidden');
  const type = payload.attr('type');
  const { services } = context.host.moduleConfig(externalServices);
  const wanted = services.filter((each) => type === undefined || each.type === type);
  return el('services', NS, { type }, ...wanted.map((each) => serviceElement(each, from, context)));
}

/** §3.3 */
function tellCredentials({ payload, from, session }: IqRequest, context: HostContext): IqAnswer {
  if (session === undefined) return new StanzaError('forbidden');
  const asked = payload.child('service');
  const [host, type, port] = ['host', 'type', 'port'].map((name) => asked?.attr(name));
  if (host === undefined || type === undefined) return new StanzaError('bad-request', 'A service is named by its host and its type');
  const { services } = context.host.moduleConfig(externalServices);
  const known = services.filter(
    (each) => each.host === host && each.type === type && (port === undefined || String(each.port) === port) && hasCredentials(each),
  );
  if (known.length === 0) return new StanzaError('item-not-found');
  return el('credentials', NS, {}, ...known.map((each) => serviceElement(each, from, context)));
}

const hasCredentials = ({ secret, username, password }: Service): boolean => (secret ?? username ?? password) !== undefined;

function serviceElement(given: Service, user: Jid, { host, now }: HostContext): Element {
  const { type, host: address, port, transport, name, secret } = given;
  const { lifetime } = host.moduleConfig(externalServices);
  const known = { type, host: address, port: port?.toString(), transport, name };
  if (secret === undefined) {
    return el('service', NS, {
      ...known,
      username: given.username,
      password: given.password,
      ...(hasCredentials(given) ? { restricted: 'true' } : {}),
    });
  }
  const expiresAtMs = Math.ceil((now + lifetime) / 1_000) * 1_000;
  // TURN servers count by what follows the time; who it is they need not know.
  const who = createHmac('sha256', host.services.secret).update(`rookery turn ${user.bare}`).digest().subarray(0, 9).toString('base64url');
  const username = `${expiresAtMs / 1_000}:${who}`;
  const password = createHmac('sha1', secret).update(username).digest('base64'); // draft-uberti-behave-turn-rest-00 §2.2
  return el('service', NS, { ...known, username, password, restricted: 'true', expires: formatDateTime(expiresAtMs) });
}
