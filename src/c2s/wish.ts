/** What a client asks for with its login. XEP-0388 §Initiation */
import type { Host } from '../core/host.ts';
import type { BindRequest, LogIn, TokenLogin } from '../core/messages.ts';
import { TOKEN_MECHANISMS, type TokenMechanism } from '../sasl/ht.ts';
import type { ScramHash } from '../sasl/scram.ts';
import type { Element } from '../xml/element.ts';
import { serialize } from '../xml/serialize.ts';
import { NS_SM, parseBoolean, parseCount } from '../stream/stream-management.ts';
import { NS } from '../xmpp/namespaces.ts';
import { NS_CSI } from './session.ts';
import { parseSeconds } from './stream-management.ts';

/** XEP-0480 */
export const UPGRADE_NS = 'urn:xmpp:sasl:upgrade:0';
/** Tasks, and the hash each is for: none weaker than what every account has. XEP-0480 §3 */
export const UPGRADES: Readonly<Record<string, ScramHash>> = { 'UPGR-SCRAM-SHA-256': 'SHA-256', 'UPGR-SCRAM-SHA-512': 'SHA-512' };

/** "The contents of the 'id' attribute MUST be a UUID v4"; some send older kinds. */
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
/** xs:int, positive. XEP-0484 §3.4 */
const COUNT = /^[0-9]{1,10}$/;

/** Something that is asked for in a way that means nothing: that alone is refused. */
export const MALFORMED = Symbol('malformed');

export interface Wish {
  /** `user-agent/@id`. */
  readonly clientId: string | undefined;
  readonly agent: LogIn['agent'];
  readonly token: Omit<TokenLogin, 'proof'> | undefined;
  readonly wantsToken: TokenMechanism | undefined;
  /** What is left of them. */
  upgrades: readonly string[];
  readonly resume: { readonly token: string; readonly h: number } | typeof MALFORMED | undefined;
  readonly bind: BindRequest | undefined;
  /** Stream management was asked for with the session, in a way that means nothing. */
  readonly isManagementMalformed: boolean;
}

/** @returns undefined where the login itself cannot be meant so: `malformed-request`. */
export function readWish(request: Element, host: Host, tokenMechanisms: readonly TokenMechanism[]): Wish | undefined {
  const agent = request.child('user-agent');
  const clientId = agent?.attr('id');
  if (clientId !== undefined && !UUID.test(clientId)) return undefined;
  const fast = request.child('fast', NS.fast);
  const token = fast === undefined ? undefined : readToken(fast);
  if (token === MALFORMED) return undefined;
  const wanted = request.child('request-token', NS.fast)?.attr('mechanism');
  const bind = request.child('bind', NS.bind2);
  const enable = bind?.child('enable', NS_SM);
  const sm = enable === undefined ? undefined : readEnable(enable);
  return {
    clientId,
    agent: clientId === undefined ? undefined : { software: agent!.child('software')?.text(), device: agent!.child('device')?.text() },
    token,
    // Tokens are given to clients that say which one they are: XEP-0484 §4.1.
    wantsToken: clientId === undefined ? undefined : tokenMechanisms.find((mechanism) => mechanism === wanted),
    upgrades: request.childrenNamed('upgrade', UPGRADE_NS).map((upgrade) => upgrade.text()),
    resume: readResume(request.child('resume', NS_SM)),
    bind: bind && readBind(bind, host, sm === MALFORMED ? undefined : sm),
    isManagementMalformed: sm === MALFORMED,
  };
}

export const isTokenMechanism = (name: string): name is TokenMechanism => (TOKEN_MECHANISMS as readonly string[]).includes(name);

function readToken(fast: Element): Wish['token'] | typeof MALFORMED {
  const count = fast.attr('count');
  const isInvalidated = parseBoolean(fast.attr('invalidate'));
  if (isInvalidated === undefined || (count !== undefined && !COUNT.test(count))) return MALFORMED;
  return { count: count === undefined ? undefined : Number(count), isInvalidated };
}

/** XEP-0198 §3 */
function readEnable(enable: Element): BindRequest['sm'] | typeof MALFORMED {
  const isResumable = parseBoolean(enable.attr('resume'));
  const max = enable.attr('max');
  const maxSeconds = max === undefined ? undefined : parseSeconds(max);
  return isResumable === undefined || (max !== undefined && maxSeconds === undefined) ? MALFORMED : { isResumable, maxSeconds };
}

/** XEP-0198 §5 */
function readResume(resume: Element | undefined): Wish['resume'] {
  if (resume === undefined) return undefined;
  const token = resume.attr('previd');
  const h = parseCount(resume.attr('h'));
  return token === undefined || h === undefined ? MALFORMED : { token, h };
}

/** What no module has advertised is not there: XEP-0386 §Performing the bind says nothing of it. */
function readBind(bind: Element, { bindFeatures }: Host, sm: BindRequest['sm']): BindRequest {
  const wanted = bind.elements().filter(({ name, ns }) => bindFeatures.some(({ payload }) => payload[0] === name && payload[1] === ns));
  return {
    tag: bind.child('tag')?.text(),
    sm,
    isInactive: wanted.some((each) => each.is('inactive', NS_CSI)),
    features: wanted.map((each) => ({ name: each.name, ns: each.ns, xml: serialize(each) })),
  };
}
