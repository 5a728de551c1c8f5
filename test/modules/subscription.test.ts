/**
 * RFC 6121 Appendix A against the tables of the roster module. The tables below are kept as the RFC
 * prints them, so that they can be held against its text line by line.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  approvedAtOnce,
  INBOUND,
  OUTBOUND,
  PARTS,
  SUBSCRIPTION_STATES,
  subscriptionState,
  type Steps,
  type SubscriptionState,
  type SubscriptionType,
} from '../../src/modules/roster/subscription.ts';

const OUT_SUBSCRIBE = `
|  "None"                  |  MUST [1] |  "None + Pending Out"     |
|  "None + Pending Out"    |  MUST     |  no state change          |
|  "None + Pending In"     |  MUST [1] |  "None + Pending Out+In"  |
|  "None + Pending Out+In" |  MUST     |  no state change          |
|  "To"                    |  MUST     |  no state change          |
|  "To + Pending In"       |  MUST     |  no state change          |
|  "From"                  |  MUST [1] |  "From + Pending Out"     |
|  "From + Pending Out"    |  MUST     |  no state change          |
|  "Both"                  |  MUST     |  no state change          |`;

const OUT_UNSUBSCRIBE = `
|  "None"                  |  MUST    |  no state change          |
|  "None + Pending Out"    |  MUST    |  "None"                   |
|  "None + Pending In"     |  MUST    |  no state change          |
|  "None + Pending Out+In" |  MUST    |  "None + Pending In"      |
|  "To"                    |  MUST    |  "None"                   |
|  "To + Pending In"       |  MUST    |  "None + Pending In"      |
|  "From"                  |  MUST    |  no state change          |
|  "From + Pending Out"    |  MUST    |  "From"                   |
|  "Both"                  |  MUST    |  "From"                   |`;

const OUT_SUBSCRIBED = `
|  "None"                  |  M.N.    |  pre-approval [1]         |
|  "None + Pending Out"    |  M.N.    |  pre-approval [1]         |
|  "None + Pending In"     |  MUST    |  "From"                   |
|  "None + Pending Out+In" |  MUST    |  "From + Pending Out"     |
|  "To"                    |  M.N.    |  pre-approval [1]         |
|  "To + Pending In"       |  MUST    |  "Both"                   |
|  "From"                  |  M.N.    |  no state change          |
|  "From + Pending Out"    |  M.N.    |  no state change          |
|  "Both"                  |  M.N.    |  no state change          |`;

const OUT_UNSUBSCRIBED = `
|  "None"                  |  S.N.    |  no state change [1]      |
|  "None + Pending Out"    |  S.N.    |  no state change [1]      |
|  "None + Pending In"     |  MUST    |  "None"                   |
|  "None + Pending Out+In" |  MUST    |  "None + Pending Out"     |
|  "To"                    |  S.N.    |  no state change [1]      |
|  "To + Pending In"       |  MUST    |  "To"                     |
|  "From"                  |  MUST    |  "None"                   |
|  "From + Pending Out"    |  MUST    |  "None + Pending Out"     |
|  "Both"                  |  MUST    |  "To"                     |`;

const IN_SUBSCRIBE = `
|  "None"                  |  MUST [1]  |  "None + Pending In"     |
|  "None + Pending Out"    |  MUST      |  "None + Pending Out+In" |
|  "None + Pending In"     |  S.N.      |  no state change         |
|  "None + Pending Out+In" |  S.N.      |  no state change         |
|  "To"                    |  MUST      |  "To + Pending In"       |
|  "To + Pending In"       |  S.N.      |  no state change         |
|  "From"                  |  S.N. [2]  |  no state change         |
|  "From + Pending Out"    |  S.N. [2]  |  no state change         |
|  "Both"                  |  S.N. [2]  |  no state change         |`;

const IN_UNSUBSCRIBE = `
|  "None"                  |  S.N.      |  no state change         |
|  "None + Pending Out"    |  S.N.      |  no state change         |
|  "None + Pending In"     |  MUST [1]  |  "None"                  |
|  "None + Pending Out+In" |  MUST [1]  |  "None + Pending Out"    |
|  "To"                    |  S.N.      |  no state change         |
|  "To + Pending In"       |  MUST [1]  |  "To"                    |
|  "From"                  |  MUST [1]  |  "None"                  |
|  "From + Pending Out"    |  MUST [1]  |  "None + Pending Out"    |
|  "Both"                  |  MUST [1]  |  "To"                    |`;

const IN_SUBSCRIBED = `
|  "None"                  |  S.N.      |  no state change         |
|  "None + Pending Out"    |  MUST      |  "To"                    |
|  "None + Pending In"     |  S.N.      |  no state change         |
|  "None + Pending Out+In" |  MUST      |  "To + Pending In"       |
|  "To"                    |  S.N.      |  no state change         |
|  "To + Pending In"       |  S.N.      |  no state change         |
|  "From"                  |  S.N.      |  no state change         |
|  "From + Pending Out"    |  MUST      |  "Both"                  |
|  "Both"                  |  S.N.      |  no state change         |`;

const IN_UNSUBSCRIBED = `
|  "None"                  |  S.N.      |  no state change         |
|  "None + Pending Out"    |  MUST      |  "None"                  |
|  "None + Pending In"     |  S.N.      |  no state change         |
|  "None + Pending Out+In" |  MUST      |  "None + Pending In"     |
|  "To"                    |  MUST      |  "None"                  |
|  "To + Pending In"       |  MUST      |  "None + Pending In"     |
|  "From"                  |  S.N.      |  no state change         |
|  "From + Pending Out"    |  MUST      |  "From"                  |
|  "Both"                  |  MUST      |  "From"                  |`;

interface Cell {
  readonly state: SubscriptionState;
  readonly word: string;
  readonly note: string | undefined;
  readonly next: string;
}

function readTable(table: string): Cell[] {
  const cells = table
    .trim()
    .split('\n')
    .map((line) => {
      const [state, route, next] = line
        .slice(1, -1)
        .split('|')
        .map((text) => text.trim().replaceAll('"', ''));
      const [word, note] = route!.split(' ');
      return { state: state as SubscriptionState, word: word!, note, next: next! };
    });
  assert.deepEqual(
    cells.map(({ state }) => state),
    [...SUBSCRIPTION_STATES],
  );
  return cells;
}

/** What a table's row asks of the code. `note` [n] of the column "route" or "deliver" is the footnote's auto-reply. */
function checkTable(table: string, steps: Steps, footnotes: Readonly<Record<string, 'subscribed' | 'unsubscribed'>> = {}): void {
  for (const { state, word, note, next } of readTable(table)) {
    const step = steps[state];
    assert.equal(step.passes, word === 'MUST', `${state}: route or deliver`);
    const expected = next.startsWith('no state change') || next.startsWith('pre-approval') ? state : next;
    assert.equal(step.next, expected, `${state}: new state`);
    assert.equal(step.autoReply, note === undefined ? undefined : footnotes[note], `${state}: auto-reply`);
  }
}

test('RFC 6121 §A.2.1: outbound subscribe', () => checkTable(OUT_SUBSCRIBE, OUTBOUND.subscribe));
test('RFC 6121 §A.2.2: outbound unsubscribe', () => checkTable(OUT_UNSUBSCRIBE, OUTBOUND.unsubscribe));
test('RFC 6121 §A.2.3: outbound subscribed', () => checkTable(OUT_SUBSCRIBED, OUTBOUND.subscribed));
test('RFC 6121 §A.2.4: outbound unsubscribed', () => checkTable(OUT_UNSUBSCRIBED, OUTBOUND.unsubscribed));
test('RFC 6121 §A.3.1: inbound subscribe', () => checkTable(IN_SUBSCRIBE, INBOUND.subscribe, { '[2]': 'subscribed' }));
test('RFC 6121 §A.3.2: inbound unsubscribe', () => checkTable(IN_UNSUBSCRIBE, INBOUND.unsubscribe, { '[1]': 'unsubscribed' }));
test('RFC 6121 §A.3.3: inbound subscribed', () => checkTable(IN_SUBSCRIBED, INBOUND.subscribed));
test('RFC 6121 §A.3.4: inbound unsubscribed', () => checkTable(IN_UNSUBSCRIBED, INBOUND.unsubscribed));

test('RFC 6121 §A.2.3 [1], §A.2.4 [1], §3.4.2: pre-approval is granted and cancelled exactly where the tables say', () => {
  for (const { state, next } of readTable(OUT_SUBSCRIBED)) {
    assert.equal(OUTBOUND.subscribed[state].preApproval, next === 'pre-approval [1]' ? 'grant' : undefined, state);
  }
  for (const { state, next } of readTable(OUT_UNSUBSCRIBED)) {
    assert.equal(OUTBOUND.unsubscribed[state].preApproval, next === 'no state change [1]' ? 'cancel' : undefined, state);
  }
  const others: Steps[] = [OUTBOUND.subscribe, OUTBOUND.unsubscribe, ...Object.values(INBOUND)];
  for (const steps of others) for (const state of SUBSCRIPTION_STATES) assert.equal(steps[state].preApproval, undefined);
});

test('RFC 6121 §A.3.1 [1]: a pre-approved request leads to where an approval would have', () => {
  assert.equal(approvedAtOnce('None'), 'From');
  assert.equal(approvedAtOnce('None + Pending Out'), 'From + Pending Out');
  assert.equal(approvedAtOnce('To'), 'Both');
});

test('RFC 6121 §A.1: each state is its parts and the parts are the state', () => {
  for (const state of SUBSCRIPTION_STATES) {
    const { subscription, ask, pendingIn } = PARTS[state];
    assert.equal(subscriptionState(subscription, ask, pendingIn), state);
    assert.equal(subscription === 'none', state.startsWith('None'));
    assert.equal(ask, state.includes('Pending Out'));
    assert.equal(pendingIn, state.endsWith('In'));
  }
});

/** Two accounts joined by wires that keep order; each stanza is processed as soon as it is sent. */
class Pair {
  readonly states: [SubscriptionState, SubscriptionState] = ['None', 'None'];
  private steps = 0;

  send(from: 0 | 1, type: SubscriptionType): void {
    const step = OUTBOUND[type][this.states[from]];
    this.states[from] = step.next;
    if (step.passes) this.arrive((1 - from) as 0 | 1, type);
  }

  private arrive(at: 0 | 1, type: SubscriptionType): void {
    assert.ok(++this.steps < 10_000, 'the two servers answer each other for ever');
    const step = INBOUND[type][this.states[at]];
    this.states[at] = step.next;
    if (step.autoReply !== undefined) this.arrive((1 - at) as 0 | 1, step.autoReply);
  }
}

test('Routing loop / error ping-pong, RFC 6121 §A: two servers agree after any sequence of stanzas, and stop answering each other', () => {
  let seed = 6121;
  const next = (bound: number): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return (seed >>> 8) % bound;
  };
  const types = Object.keys(OUTBOUND) as SubscriptionType[];
  const reached = new Set<string>();
  for (let run = 0; run < 2_000; run++) {
    const pair = new Pair();
    const trace: string[] = [];
    for (let i = 0; i < 12; i++) {
      const from = next(2) as 0 | 1;
      const type = types[next(types.length)]!;
      trace.push(`${from}:${type}`);
      pair.send(from, type);
      const [a, b] = pair.states.map((state) => PARTS[state]);
      const why = `seed 6121, run ${run}: ${trace.join(' ')} gave ${pair.states.join(' / ')}`;
      for (const [user, contact] of [
        [a!, b!],
        [b!, a!],
      ] as const) {
        const userHas = user.subscription === 'to' || user.subscription === 'both';
        const contactGives = contact.subscription === 'from' || contact.subscription === 'both';
        assert.equal(userHas, contactGives, why);
        assert.equal(user.ask, contact.pendingIn, why);
      }
      reached.add(pair.states[0]);
    }
  }
  assert.deepEqual([...reached].sort(), [...SUBSCRIPTION_STATES].sort());
});
