/**
 * Rosters and presence against a model that knows nothing of states and tables: who sees whom, who has
 * asked, who has approved in advance. Random conversations of two clients must keep to it.
 */
import assert from 'node:assert/strict';
import type { Client } from '../harness/cast.ts';
import { textOf, childOf } from '../harness/xml.ts';
import { presenceScene, rosterOf } from './roster-scenes.ts';

/** One of the two, as far as the other is concerned. */
interface Person {
  /** Has an item for the other. */
  hasItem: boolean;
  /** Sees the presence of the other. */
  sees: boolean;
  /** Has asked the other and waits. */
  asks: boolean;
  /** Grants a request of the other in advance. */
  approves: boolean;
}

const ACTIONS = ['subscribe', 'subscribed', 'unsubscribe', 'unsubscribed', 'remove', 'set'] as const;
type Action = (typeof ACTIONS)[number];

function act(action: Action, me: Person, other: Person): void {
  switch (action) {
    case 'subscribe':
      if (me.sees) break;
      me.hasItem = true;
      me.sees = other.approves;
      me.asks = !other.approves;
      break;
    case 'subscribed':
      if (other.sees) break;
      me.hasItem = true;
      if (other.asks) other.sees = true;
      else me.approves = true;
      other.asks = false;
      break;
    case 'unsubscribe':
      me.sees = me.asks = false;
      break;
    case 'unsubscribed':
      other.sees = other.asks = me.approves = false;
      break;
    case 'remove':
      if (!me.hasItem) break;
      act('unsubscribe', me, other);
      act('unsubscribed', me, other);
      me.hasItem = false;
      break;
    case 'set':
      me.hasItem = true;
      break;
  }
}

function expectedRoster(me: Person, other: Person, contact: Client): string[] {
  if (!me.hasItem) return [];
  const subscription = me.sees ? (other.sees ? 'both' : 'to') : other.sees ? 'from' : 'none';
  return [[contact.bare, subscription, me.asks && 'subscribe', me.approves && 'approved'].filter(Boolean).join(' ')];
}

async function perform(action: Action, client: Client, contact: Client, id: string): Promise<void> {
  if (action === 'remove' || action === 'set') {
    const what = action === 'remove' ? `subscription='remove'` : `name='${id}'`;
    await client.sends(`<iq type='set' id='${id}'><query xmlns='jabber:iq:roster'><item jid='${contact.bare}' ${what}/></query></iq>`);
  } else {
    await client.sends(`<presence type='${action}' to='${contact.bare}'/>`);
  }
  await client.sync();
  await contact.sync();
  await client.sync();
}

/** Whether `watcher` gets what `client` broadcasts now. */
async function isSeen(client: Client, watcher: Client, mark: string): Promise<boolean> {
  await client.sends(`<presence><status>${mark}</status></presence>`);
  await client.sync();
  await client.sends(`<message id='${mark}' to='${watcher.full}'/>`);
  const first = await watcher.takes('presence or message', (element) => {
    if (element.name === 'message') return element.attrs['id'] === mark;
    const status = childOf(element, 'status', 'jabber:client');
    return element.attrs['from'] === client.full && status !== undefined && textOf(status) === mark;
  });
  return first.name === 'presence';
}

const RUNS = 12;
const STEPS = 14;

for (let run = 0; run < RUNS; run++) {
  const seed = 6121 + run * 7919;
  presenceScene(
    `RFC 6121 §3, §A: after any conversation rosters and presence are as agreed (seed ${seed})`,
    { onlyOurs: 'others know no pre-approval' },
    async ({ romeo, juliet }) => {
      let state = seed;
      const next = (bound: number): number => {
        state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
        return (state >>> 8) % bound;
      };
      const people: readonly [Person, Person] = [
        { hasItem: false, sees: false, asks: false, approves: false },
        { hasItem: false, sees: false, asks: false, approves: false },
      ];
      const clients = [romeo, juliet] as const;
      const trace: string[] = [];
      // Some conversations among people who are there, some among people who are not.
      const isPresent = next(3) > 0;
      if (isPresent) for (const client of clients) await client.becomesAvailable();
      for (let step = 0; step < STEPS; step++) {
        const who = next(2) as 0 | 1;
        const action = ACTIONS[next(ACTIONS.length)]!;
        const [me, other] = who === 0 ? people : [people[1], people[0]];
        trace.push(`${clients[who].name} ${action}`);
        act(action, me, other);
        await perform(action, clients[who], clients[1 - who]!, `step${step}`);
        const why = `seed ${seed}: ${trace.join(', ')}`;
        assert.deepEqual(await rosterOf(romeo), expectedRoster(people[0], people[1], juliet), why);
        assert.deepEqual(await rosterOf(juliet), expectedRoster(people[1], people[0], romeo), why);
        if (!isPresent) continue;
        assert.equal(await isSeen(romeo, juliet, `r${step}`), people[1].sees, why);
        assert.equal(await isSeen(juliet, romeo, `j${step}`), people[0].sees, why);
      }
    },
  );
}
