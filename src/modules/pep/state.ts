/** What an account keeps in memory for its nodes while it is loaded. */
import { SmallMap } from '../../kernel/small-map.ts';
import type { AccountContext } from '../../core/context.ts';
import type { AccountSlot } from '../../core/module.ts';
import type { Caps } from '../../xmpp/caps.ts';
import type { Jid } from '../../xmpp/jid.ts';
import { loadNodes, type Nodes } from '../pubsub/index.ts';
import type { Interests } from './interests.ts';

/** Somebody's client. */
export interface Listener {
  readonly jid: Jid;
  readonly caps: Caps;
  /** Undefined until its server or cache has said what its capabilities mean. */
  interests: Interests | undefined;
  /** What it was told of before it had these capabilities. */
  readonly told: Interests;
}

/** A question for what capabilities mean, and who has the same. */
interface Question {
  readonly caps: Caps;
  readonly asked: Jid;
  readonly atMs: number;
  /** Those who could be asked, too. */
  readonly waiting: Set<Listener>;
}

/** What is known in memory only: presence brings it, absence takes it away. */
export class Audience {
  /** Contacts' clients by full JID. */
  readonly listeners = new SmallMap<string, Listener>();
  /** By the id of the request. */
  readonly questions = new SmallMap<string, Question>();
}

export interface PepState {
  readonly nodes: Nodes;
  readonly audience: Audience;
}

export const PEP: AccountSlot<PepState> = {
  name: 'pep',
  load: async (store, bare) => ({ nodes: await loadNodes(store, bare), audience: new Audience() }),
};

export function pepOf(account: AccountContext): PepState {
  return account.state(PEP);
}
