/**
 * A SASL exchange, server side, as a pure machine: bytes of the peer and facts from elsewhere go in, the next
 * step comes out. No I/O and no waiting; the caller fetches what a step asks for and hands it back.
 *
 * A mechanism is written as steps that carry their own continuation (`Pending`), so it cannot take an answer
 * to a question it did not ask. `Exchange` hides the continuations and refuses everything out of order.
 */
import type { PreparedPassword, ScramCredentials, ScramHash } from './scram-credentials.ts';

/** RFC 6120 §6.5 */
export const SASL_FAILURES = [
  'aborted',
  'account-disabled',
  'credentials-expired',
  'encryption-required',
  'incorrect-encoding',
  'invalid-authzid',
  'invalid-mechanism',
  'malformed-request',
  'mechanism-too-weak',
  'not-authorized',
  'temporary-auth-failure',
] as const;
export type SaslFailure = (typeof SASL_FAILURES)[number];

/** What the caller does next. */
export type Step =
  /** Send `data` and wait: then `respond`. */
  | { readonly kind: 'challenge'; readonly data: Buffer }
  /** Look up the stored form of the account's password for `hash`: then `credentials`. */
  | { readonly kind: 'need_credentials'; readonly username: string; readonly hash: ScramHash }
  /** Have the password checked, against made-up credentials where there are none: then `verified`. */
  | { readonly kind: 'need_password_check'; readonly username: string; readonly password: PreparedPassword }
  /** The certificate proves this name; find out whether it is an account that may log in: then `verified`. */
  | { readonly kind: 'need_account_check'; readonly username: string }
  /** Over: the peer is `username`, a normalised localpart of the stream's domain. `data` goes with `<success/>`. */
  | { readonly kind: 'success'; readonly username: string; readonly data?: Buffer }
  /** Over. */
  | { readonly kind: 'failure'; readonly condition: SaslFailure; readonly text?: string };

/** A step with what the mechanism does with the answer: the one continuation that fits the step, none at the end. */
export interface Pending {
  readonly step: Step;
  readonly onData?: (data: Buffer) => Pending;
  readonly onCredentials?: (found: ScramCredentials | undefined, isEnabled: boolean) => Pending;
  readonly onVerified?: (isVerified: boolean) => Pending;
}

/** How the mechanism reads what the peer sends first. */
export type FirstMessage = (data: Buffer) => Pending;

const NO_DATA = Buffer.alloc(0);

/**
 * One attempt of one peer with one mechanism. What the peer does out of order fails the attempt; what the
 * caller does out of order throws, since only a bug of ours can cause it.
 */
export class Exchange {
  /** As advertised, e.g. `SCRAM-SHA-256-PLUS`. */
  readonly mechanism: string;
  private readonly first: FirstMessage;
  private pending: Pending | undefined;

  constructor(mechanism: string, first: FirstMessage) {
    this.mechanism = mechanism;
    this.first = first;
    this.pending = undefined;
  }

  /** @param initialResponse `undefined` where the peer sent none, which costs a round: RFC 4422 §5.1. */
  start(initialResponse: Buffer | undefined): Step {
    if (this.pending !== undefined) throw new Error(`${this.mechanism}: started twice`);
    return this.take(initialResponse === undefined ? challenge(NO_DATA, this.first) : this.first(initialResponse));
  }

  /** What the peer answered to a challenge. */
  respond(data: Buffer): Step {
    if (this.pending === undefined) throw new Error(`${this.mechanism}: not started`);
    const { onData } = this.pending;
    return this.take(onData === undefined ? failure('malformed-request', 'no response was asked for') : onData(data));
  }

  /**
   * @param found `undefined` where there is no such account or it has no password for the hash asked for.
   * @param isEnabled whether the account may log in; if not, the exchange runs on to its failure unchanged.
   */
  credentials(found: ScramCredentials | undefined, isEnabled = true): Step {
    const onCredentials = this.pending?.onCredentials;
    if (onCredentials === undefined) throw new Error(`${this.mechanism}: no credentials were asked for`);
    return this.take(onCredentials(found, isEnabled));
  }

  /** @param isVerified the password is right or the account is there, and it may log in. */
  verified(isVerified: boolean): Step {
    const onVerified = this.pending?.onVerified;
    if (onVerified === undefined) throw new Error(`${this.mechanism}: nothing was to be verified`);
    return this.take(onVerified(isVerified));
  }

  private take(pending: Pending): Step {
    this.pending = pending;
    return pending.step;
  }
}

export function challenge(data: Buffer, onData: (data: Buffer) => Pending): Pending {
  return { step: { kind: 'challenge', data }, onData };
}

export function success(username: string, data?: Buffer): Pending {
  return { step: data === undefined ? { kind: 'success', username } : { kind: 'success', username, data } };
}

/** @param text for the peer's developer; says nothing of accounts. */
export function failure(condition: SaslFailure, text?: string): Pending {
  return { step: text === undefined ? { kind: 'failure', condition } : { kind: 'failure', condition, text } };
}
