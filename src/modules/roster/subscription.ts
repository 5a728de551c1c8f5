/**
 * The subscription states of RFC 6121 Appendix A and what each subscription stanza does to them,
 * as the tables of that appendix and nothing else. All is said from the user's side: "out" stanzas
 * are sent by the user to the contact, "in" ones come from the contact.
 */

/** RFC 6121 §A.1 */
export const SUBSCRIPTION_STATES = [
  'None',
  'None + Pending Out',
  'None + Pending In',
  'None + Pending Out+In',
  'To',
  'To + Pending In',
  'From',
  'From + Pending Out',
  'Both',
] as const;
export type SubscriptionState = (typeof SUBSCRIPTION_STATES)[number];

/** The `subscription` attribute of a roster item. RFC 6121 §2.1.2.5 */
export type Subscription = 'none' | 'to' | 'from' | 'both';

/** What a state is made of: how the roster shows it, and whether a request of the contact waits for an answer. */
export interface SubscriptionParts {
  readonly subscription: Subscription;
  /** Pending Out: the user has asked for the contact's presence. RFC 6121 §2.1.2.2 */
  readonly ask: boolean;
  readonly pendingIn: boolean;
}

export const PARTS: Readonly<Record<SubscriptionState, SubscriptionParts>> = {
  None: { subscription: 'none', ask: false, pendingIn: false },
  'None + Pending Out': { subscription: 'none', ask: true, pendingIn: false },
  'None + Pending In': { subscription: 'none', ask: false, pendingIn: true },
  'None + Pending Out+In': { subscription: 'none', ask: true, pendingIn: true },
  To: { subscription: 'to', ask: false, pendingIn: false },
  'To + Pending In': { subscription: 'to', ask: false, pendingIn: true },
  From: { subscription: 'from', ask: false, pendingIn: false },
  'From + Pending Out': { subscription: 'from', ask: true, pendingIn: false },
  Both: { subscription: 'both', ask: false, pendingIn: false },
};

/** The state with these parts. Parts that exclude each other (`to` and asking, `from` and being asked) lose the pending one. */
export function subscriptionState(subscription: Subscription, ask: boolean, pendingIn: boolean): SubscriptionState {
  switch (subscription) {
    case 'none':
      if (ask) return pendingIn ? 'None + Pending Out+In' : 'None + Pending Out';
      return pendingIn ? 'None + Pending In' : 'None';
    case 'to':
      return pendingIn ? 'To + Pending In' : 'To';
    case 'from':
      return ask ? 'From + Pending Out' : 'From';
    case 'both':
      return 'Both';
  }
}

/** Whether the contact may see the user's presence: From, From + Pending Out, Both. */
export function isSubscriber(subscription: Subscription): boolean {
  return subscription === 'from' || subscription === 'both';
}

/** Whether the user may see the contact's presence: To, To + Pending In, Both. */
export function isSubscribed(subscription: Subscription): boolean {
  return subscription === 'to' || subscription === 'both';
}

export const SUBSCRIPTION_TYPES = ['subscribe', 'unsubscribe', 'subscribed', 'unsubscribed'] as const;
export type SubscriptionType = (typeof SUBSCRIPTION_TYPES)[number];

export function isSubscriptionType(type: string): type is SubscriptionType {
  return (SUBSCRIPTION_TYPES as readonly string[]).includes(type);
}

/** What one stanza does in one state. */
export interface Step {
  readonly next: SubscriptionState;
  /** An "out" stanza is routed to the contact; an "in" stanza is delivered to the user. */
  readonly passes: boolean;
  /** What the user's server answers the contact in the user's name. */
  readonly autoReply: 'subscribed' | 'unsubscribed' | undefined;
  /** A pre-approval is noted, or a noted one is taken back. RFC 6121 §3.4.2 */
  readonly preApproval: 'grant' | 'cancel' | undefined;
}

export type Steps = Readonly<Record<SubscriptionState, Step>>;

/** No state change. */
const SAME = undefined;

function pass(next: SubscriptionState | typeof SAME, autoReply?: Step['autoReply']) {
  return { passes: true, next, autoReply };
}

function stop(next: SubscriptionState | typeof SAME, autoReply?: Step['autoReply']) {
  return { passes: false, next, autoReply };
}

/** @param preApproval goes with the cells the appendix marks with [1]: those that do not pass and are not subscribers. */
function steps(cells: Readonly<Record<SubscriptionState, ReturnType<typeof pass>>>, preApproval?: 'grant' | 'cancel'): Steps {
  const entries = SUBSCRIPTION_STATES.map((state): [SubscriptionState, Step] => {
    const { passes, next, autoReply } = cells[state];
    const isMarked = !passes && !isSubscriber(PARTS[state].subscription);
    return [state, { passes, next: next ?? state, autoReply, preApproval: isMarked ? preApproval : undefined }];
  });
  return Object.fromEntries(entries) as Record<SubscriptionState, Step>;
}

/** RFC 6121 §A.2: what the user sends. */
export const OUTBOUND: Readonly<Record<SubscriptionType, Steps>> = {
  // §A.2.1
  subscribe: steps({
    None: pass('None + Pending Out'),
    'None + Pending Out': pass(SAME),
    'None + Pending In': pass('None + Pending Out+In'),
    'None + Pending Out+In': pass(SAME),
    To: pass(SAME),
    'To + Pending In': pass(SAME),
    From: pass('From + Pending Out'),
    'From + Pending Out': pass(SAME),
    Both: pass(SAME),
  }),
  // §A.2.2
  unsubscribe: steps({
    None: pass(SAME),
    'None + Pending Out': pass('None'),
    'None + Pending In': pass(SAME),
    'None + Pending Out+In': pass('None + Pending In'),
    To: pass('None'),
    'To + Pending In': pass('None + Pending In'),
    From: pass(SAME),
    'From + Pending Out': pass('From'),
    Both: pass('From'),
  }),
  // §A.2.3
  subscribed: steps(
    {
      None: stop(SAME),
      'None + Pending Out': stop(SAME),
      'None + Pending In': pass('From'),
      'None + Pending Out+In': pass('From + Pending Out'),
      To: stop(SAME),
      'To + Pending In': pass('Both'),
      From: stop(SAME),
      'From + Pending Out': stop(SAME),
      Both: stop(SAME),
    },
    'grant',
  ),
  // §A.2.4
  unsubscribed: steps(
    {
      None: stop(SAME),
      'None + Pending Out': stop(SAME),
      'None + Pending In': pass('None'),
      'None + Pending Out+In': pass('None + Pending Out'),
      To: stop(SAME),
      'To + Pending In': pass('To'),
      From: pass('None'),
      'From + Pending Out': pass('None + Pending Out'),
      Both: pass('To'),
    },
    'cancel',
  ),
};

/** RFC 6121 §A.3: what comes from the contact. */
export const INBOUND: Readonly<Record<SubscriptionType, Steps>> = {
  // §A.3.1
  subscribe: steps({
    None: pass('None + Pending In'),
    'None + Pending Out': pass('None + Pending Out+In'),
    'None + Pending In': stop(SAME),
    'None + Pending Out+In': stop(SAME),
    To: pass('To + Pending In'),
    'To + Pending In': stop(SAME),
    From: stop(SAME, 'subscribed'),
    'From + Pending Out': stop(SAME, 'subscribed'),
    Both: stop(SAME, 'subscribed'),
  }),
  // §A.3.2
  unsubscribe: steps({
    None: stop(SAME),
    'None + Pending Out': stop(SAME),
    'None + Pending In': pass('None', 'unsubscribed'),
    'None + Pending Out+In': pass('None + Pending Out', 'unsubscribed'),
    To: stop(SAME),
    'To + Pending In': pass('To', 'unsubscribed'),
    From: pass('None', 'unsubscribed'),
    'From + Pending Out': pass('None + Pending Out', 'unsubscribed'),
    Both: pass('To', 'unsubscribed'),
  }),
  // §A.3.3
  subscribed: steps({
    None: stop(SAME),
    'None + Pending Out': pass('To'),
    'None + Pending In': stop(SAME),
    'None + Pending Out+In': pass('To + Pending In'),
    To: stop(SAME),
    'To + Pending In': stop(SAME),
    From: stop(SAME),
    'From + Pending Out': pass('Both'),
    Both: stop(SAME),
  }),
  // §A.3.4
  unsubscribed: steps({
    None: stop(SAME),
    'None + Pending Out': pass('None'),
    'None + Pending In': stop(SAME),
    'None + Pending Out+In': pass('None + Pending In'),
    To: pass('None'),
    'To + Pending In': pass('None + Pending In'),
    From: stop(SAME),
    'From + Pending Out': pass('From'),
    Both: pass('From'),
  }),
};

/**
 * A request from a contact that was approved beforehand: received and approved at once.
 * RFC 6121 §3.4.2, §A.3.1 [1]
 */
export function approvedAtOnce(state: SubscriptionState): SubscriptionState {
  return OUTBOUND.subscribed[INBOUND.subscribe[state].next].next;
}
