/** Somebody without an account who has shown an invitation: what the module that knows invitations tells the one that makes accounts. */
import type { StreamSlot } from './context.ts';
import type { StanzaError } from '../xmpp/stanza-error.ts';

export interface Guest {
  readonly token: string;
  /** Localpart of the only account that is meant. */
  readonly username: string | undefined;
  /** The account is there, and its password is to be set anew. */
  readonly isReset: boolean;
  /**
   * Does `work` as long as nobody else does it with the same invitation, which is used up where that comes to something.
   *
   * @param account bare JID of the account.
   */
  use<T extends string>(account: string, work: () => Promise<T>, isDone: (outcome: T) => boolean): Promise<T | StanzaError>;
}

export const GUEST: StreamSlot<Guest | undefined> = { name: 'guest', initial: () => undefined };
