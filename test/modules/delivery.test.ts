/** RFC 6121 §8.5.4: the table of message delivery, row by row, and the rules for presence and IQ of §8.5.1 to §8.5.3. */
import assert from 'node:assert/strict';
import type { CastOfClients, Client } from '../harness/cast.ts';
import { transcript } from '../harness/transcript.ts';
import { childOf, type XmlElement } from '../harness/xml.ts';

const STANZAS = 'urn:ietf:params:xml:ns:xmpp-stanzas';
const TYPES = ['normal', 'chat', 'groupchat', 'headline'] as const;

/**
 * D delivered to the one addressed or available; A to all with non-negative priority; O kept until somebody can take it;
 * E refused with service-unavailable; S dropped without a word; X the RFC leaves S or E to the server, and ours says E.
 */
type Outcome = 'D' | 'A' | 'O' | 'E' | 'S' | 'X';

/** Who is there: juliet's resources are `window` (juliet), `balcony` and `chamber`. Undefined: connected, but not available. */
interface Condition {
  readonly name: string;
  readonly priorities: Readonly<Record<string, number | undefined>>;
  /** Address of juliet, or of nobody. */
  readonly address: 'bare' | 'full of juliet' | 'full of no resource' | 'bare of no account' | 'full of no account';
  readonly outcomes: readonly [normal: Outcome, chat: Outcome, groupchat: Outcome, headline: Outcome];
}

const TABLE: readonly Condition[] = [
  { name: 'account does not exist', priorities: {}, address: 'bare of no account', outcomes: ['X', 'X', 'E', 'X'] },
  { name: 'account does not exist', priorities: {}, address: 'full of no account', outcomes: ['X', 'X', 'X', 'X'] },
  { name: 'no resource at all', priorities: {}, address: 'bare', outcomes: ['O', 'O', 'E', 'S'] },
  { name: 'no resource at all', priorities: {}, address: 'full of no resource', outcomes: ['X', 'O', 'X', 'X'] },
  { name: 'connected resource only', priorities: { juliet: undefined }, address: 'bare', outcomes: ['O', 'O', 'E', 'S'] },
  { name: 'connected resource only', priorities: { juliet: undefined }, address: 'full of juliet', outcomes: ['D', 'D', 'D', 'D'] },
  { name: 'connected resource only', priorities: { juliet: undefined }, address: 'full of no resource', outcomes: ['X', 'O', 'X', 'X'] },
  { name: 'negative priority only', priorities: { juliet: -1 }, address: 'bare', outcomes: ['O', 'O', 'E', 'S'] },
  { name: 'negative priority only', priorities: { juliet: -1 }, address: 'full of juliet', outcomes: ['D', 'D', 'D', 'D'] },
  { name: 'negative priority only', priorities: { juliet: -1 }, address: 'full of no resource', outcomes: ['X', 'O', 'X', 'X'] },
  { name: 'one non-negative resource', priorities: { juliet: 0 }, address: 'bare', outcomes: ['D', 'D', 'E', 'D'] },
  { name: 'one non-negative resource', priorities: { juliet: 0 }, address: 'full of juliet', outcomes: ['D', 'D', 'D', 'D'] },
  { name: 'one non-negative resource', priorities: { juliet: 0 }, address: 'full of no resource', outcomes: ['X', 'D', 'X', 'X'] },
  {
    name: 'several non-negative resources',
    priorities: { juliet: 5, balcony: 5, chamber: -1 },
    address: 'bare',
    outcomes: ['A', 'A', 'E', 'A'],
  },
  {
    name: 'several non-negative resources',
    priorities: { juliet: 5, balcony: 5, chamber: -1 },
    address: 'full of juliet',
    outcomes: ['D', 'D', 'D', 'D'],
  },
  {
    name: 'several non-negative resources',
    priorities: { juliet: 5, balcony: 5, chamber: -1 },
    address: 'full of no resource',
    outcomes: ['X', 'A', 'X', 'X'],
  },
];

for (const condition of TABLE) {
  for (const [i, type] of TYPES.entries()) {
    const outcome = condition.outcomes[i]!;
    // §8.5.3.2.1 lets `normal` be ignored or refused, and nothing else.
    const differs =
      type === 'normal' && condition.address === 'full of no resource'
        ? { prosody: 'treats it as chat', ejabberd: 'treats it as chat' }
        : {};
    const title = `RFC 6121 §8.5.4: ${type} to ${condition.address}, ${condition.name}: ${outcome}`;
    transcript(title, { differs }, (cast) => play(cast, condition, type, outcome));
  }
}

async function play(cast: CastOfClients, { priorities, address }: Condition, type: string, outcome: Outcome): Promise<void> {
  const { romeo } = cast;
  const resources = Object.keys(priorities).map((name) => cast.client(name));
  if (resources.length === 0) cast.client('juliet', { isOnline: false });
  for (const client of resources) {
    const priority = priorities[client.name];
    if (priority !== undefined) await client.becomesAvailable(priority);
  }
  const to = addressed(cast, address);
  await romeo.sends(`<message type='${type}' id='m1' to='${to}'><body>Lady, by yonder blessed moon I swear</body></message>`);
  await romeo.sync();

  const answer = await romeo.collects();
  if (outcome === 'E' || (outcome === 'X' && (cast.isOurs || answer.length > 0))) {
    assert.equal(answer.length, 1, 'the sender gets an error');
    assert.ok(isServiceUnavailable(answer[0]!), 'it is service-unavailable');
    assert.equal(answer[0]!.attrs['from'], to);
  } else {
    assert.deepEqual(answer, [], 'the sender hears nothing');
  }
  const reached: string[] = [];
  for (const client of resources) {
    const received = await client.collects();
    if (received.length > 0) reached.push(client.name);
    for (const { name, attrs } of received) {
      assert.deepEqual([name, attrs['type'] ?? 'normal', attrs['from']], ['message', type, romeo.full]);
      if (cast.isOurs) assert.equal(attrs['to'], to, 'the address is left as it was'); // RFC 6120 §8.1.1
    }
  }
  assert.deepEqual(reached, outcome === 'A' ? ['juliet', 'balcony'] : outcome === 'D' ? ['juliet'] : []);
  if (outcome === 'O') await isKept(cast.client('tablet-of-juliet', { account: 'juliet' }), type);
  else if (!address.includes('no account')) await nothingIsKept(cast.client('tablet-of-juliet', { account: 'juliet' }));
}

function addressed(cast: CastOfClients, address: Condition['address']): string {
  const juliet = cast.client('juliet', { isOnline: false }).bare;
  const nobody = `${cast.localOf('nobody')}@${cast.domain}`;
  return {
    bare: juliet,
    'full of juliet': `${juliet}/window`,
    'full of no resource': `${juliet}/gone`,
    'bare of no account': nobody,
    'full of no account': `${nobody}/gone`,
  }[address];
}

function isServiceUnavailable({ name, attrs, children }: XmlElement): boolean {
  const error = childOf({ name, ns: '', attrs, children }, 'error');
  return (
    name === 'message' &&
    attrs['type'] === 'error' &&
    attrs['id'] === 'm1' &&
    error !== undefined &&
    childOf(error, 'service-unavailable', STANZAS) !== undefined
  );
}

async function isKept(later: Client, type: string): Promise<void> {
  await later.becomesAvailable(1);
  await later.receives(
    `<message type='${type}' id='m1'><body>Lady, by yonder blessed moon I swear</body><delay xmlns='urn:xmpp:delay' from='${later.domain}' stamp='{stamp}'>{any}</delay></message>`,
  );
  await later.receivesNothing();
}

async function nothingIsKept(later: Client): Promise<void> {
  await later.becomesAvailable(1);
  await later.receivesNothing();
}
