/**
 * Results of archives nobody has asked. A client must not take them for what it asks its own archive (XEP-0313 §8.2), but not
 * every client looks who they come from; here they do not reach any.
 */
import type { AccountContext } from '../../core/context.ts';
import { DROP } from '../../core/hooks.ts';
import type { Session, SessionSlot } from '../../core/session.ts';
import type { ChildHead } from '../../xml/frame.ts';
import type { Stanza } from '../../xmpp/stanza.ts';
import { MAM } from './namespace.ts';

/** Archives elsewhere that one session may have asked; the oldest are forgotten. */
const MAX_ASKED = 64;

/** Full addresses of the archives, oldest first. */
const ASKED: SessionSlot<readonly string[]> = { name: 'archives_asked', initial: () => [], isKept: true };

/** The client asks the archive of a room, or whatever else has one. */
export function noteQuestion({ type, to, hasTo, children }: Stanza, { bare }: AccountContext, session: Session | undefined): void {
  const head = children[0];
  if (type !== 'set' || head?.ns !== MAM || head.name !== 'query') return;
  if (session === undefined || !hasTo || to.full === bare) return;
  const asked = session.get(ASKED);
  if (asked.at(-1) === to.full) return;
  session.set(ASKED, [...asked.filter((each) => each !== to.full), to.full].slice(-MAX_ASKED));
}

/** The account's own results do not come this way. */
export function withoutUnsolicited(stanza: Stanza, _account: AccountContext, session: Session | undefined): Stanza | typeof DROP {
  if (!stanza.has('result', MAM) || session?.get(ASKED).includes(stanza.from.full) === true) return stanza;
  if (stanza.children.every(isResult)) return DROP; // it says nothing else
  return stanza.withContent(stanza.element().children.filter((child) => typeof child === 'string' || !isResult(child)));
}

function isResult({ name, ns }: ChildHead): boolean {
  return name === 'result' && ns === MAM;
}
