/** Circles of friends: everybody in one is subscribed to everybody else's presence (RFC 6121 §3), which they are made to be where they are not. */
import { persistently, type Bench } from './bench.ts';
import { inParallel, type LoadClient } from './client.ts';
import { attributeAt, attributeText, FROM, isIq, isPresence, numberAt, TYPE } from './scanner.ts';

const AT_SIGN = 0x40;
const LOWER_M = 0x6d;
/** Circles that are made at once. */
const WIDTH = 2;
const LOGIN_WIDTH = 4;

export interface Circle {
  readonly index: number;
  /** Local parts of the members' addresses; they end with `m` and the member's number. */
  readonly locals: readonly string[];
}

/** This thread's of `count` circles of `size` members each. */
export async function makeCircles(bench: Bench, count: number, size: number): Promise<Circle[]> {
  const circles = bench.share(count).map((index) => ({
    index,
    locals: Array.from({ length: size }, (_, member) => `circle${size}c${index}m${member}`),
  }));
  const locals = circles.flatMap((circle) => circle.locals);
  await bench.register([...locals.keys()], (at) => locals[at]!);
  bench.doing(`making friends of ${locals.length} users`);
  await inParallel(circles, WIDTH, (circle) => befriend(bench, circle));
  return circles;
}

/** Logged in, with the roster asked for, so that the server knows them as interested (§2.2); not yet available. */
export async function logInMember(bench: Bench, local: string): Promise<LoadClient> {
  const client = await bench.logInOnce(local);
  await client.ask(`<iq type='get' id='all'><query xmlns='jabber:iq:roster'/></iq>`, /<iq [^>]*id=['"]all['"][^>]*(\/>|>.*<\/iq>)/s);
  return client;
}

/** Everybody of a circle, in order; as `logInMember`. */
export async function logInCircle(bench: Bench, locals: readonly string[]): Promise<LoadClient[]> {
  const clients: LoadClient[] = new Array<LoadClient>(locals.length);
  await inParallel([...locals.entries()], LOGIN_WIDTH, async ([at, local]) => {
    clients[at] = await persistently(() => logInMember(bench, local));
  });
  return clients;
}

async function befriend(bench: Bench, { locals }: Circle): Promise<void> {
  const { domain } = bench.target;
  const friends = locals.map(() => 0);
  const clients: LoadClient[] = [];
  for (const [member, local] of locals.entries()) {
    const client = await persistently(() => logInMember(bench, local));
    client.listen((bytes, start, end) => {
      if (isPresence(bytes, start) && attributeText(bytes, start, end, TYPE) === 'subscribe') {
        const from = attributeText(bytes, start, end, FROM)!;
        client.send(`<presence type='subscribed' to='${from}'/>`);
      } else if (isIq(bytes, start) && attributeText(bytes, start, end, TYPE) === 'result') {
        friends[member] = [...bytes.toString('utf8', start, end).matchAll(/subscription=['"]both['"]/g)].length;
      }
    });
    client.send('<presence/>');
    clients.push(client);
  }
  const wanted = locals.length - 1;
  const count = (): void => {
    for (const [member, client] of clients.entries()) {
      if (friends[member]! < wanted) client.send(`<iq type='get' id='count'><query xmlns='jabber:iq:roster'/></iq>`);
    }
  };
  count();
  const isComplete = (): boolean => friends.every((each) => each >= wanted);
  await bench.until(() => isComplete() || friends.some((each) => each === 0), 2);
  if (!isComplete()) {
    for (const [member, client] of clients.entries()) {
      for (const [other, local] of locals.entries()) {
        if (other !== member) client.send(`<presence type='subscribe' to='${local}@${domain}'/>`);
      }
    }
    const asking = setInterval(count, 500);
    const isDone = await bench.until(isComplete);
    clearInterval(asking);
    if (!isDone) throw new Error(`${locals[0]} and friends did not become subscribed to each other: ${friends.join(' ')} of ${wanted}`);
  }
  for (const client of clients) client.close();
}

/** The number of the member a stanza is from; NaN where it is from somebody else. */
export function memberOf(bytes: Buffer, start: number, end: number): number {
  const at = attributeAt(bytes, start, end, FROM);
  if (at === -1) return Number.NaN;
  const limit = bytes.indexOf(AT_SIGN, at);
  const before = bytes.lastIndexOf(LOWER_M, limit);
  return limit === -1 || limit > end || before < at ? Number.NaN : numberAt(bytes, before + 1);
}

const STATUS = Buffer.from('<status>');

/** The number in a presence's status; NaN where it has none. */
export function statusNumber(bytes: Buffer, start: number, end: number): number {
  const at = bytes.indexOf(STATUS, start);
  return at === -1 || at >= end ? Number.NaN : numberAt(bytes, at + STATUS.length);
}
