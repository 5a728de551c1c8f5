/**
 * Our server and others, each a process of its own, over TCP and TLS with certificates of an authority made for the test.
 * Those that are not installed are skipped.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Authority, hasOpenssl, type CertificateFiles } from '../harness/authority.ts';
import type { Client } from '../harness/cast.ts';
import { isInstalled, Line, startFederated, type Federated, type FederatedOptions, type Kind } from '../harness/federated.ts';
import { freePorts } from '../harness/own-process.ts';

const OURS = 'capulet.test';
const THEIRS = 'montague.test';
const OTHERS: readonly Kind[] = ['rookery', 'prosody', 'ejabberd'];

let authority: Authority;
let stranger: Authority;
const hasAuthority = await hasOpenssl();

before(async () => {
  if (!hasAuthority) return;
  authority = await Authority.make();
  stranger = await Authority.make();
});
after(async () => {
  if (!hasAuthority) return;
  await authority[Symbol.asyncDispose]();
  await stranger[Symbol.asyncDispose]();
});

interface PairOptions {
  readonly isDialback: boolean;
  readonly ours: CertificateFiles;
  readonly theirs: CertificateFiles;
  readonly hasLine?: boolean;
  readonly lines?: readonly string[];
}

interface Pair extends AsyncDisposable {
  readonly one: Federated;
  readonly other: Federated;
  /** From ours to theirs, and back, where asked for. */
  readonly there: Line | undefined;
  readonly back: Line | undefined;
}

async function startPair(kind: Kind, { isDialback, ours, theirs, hasLine = false, lines = [] }: PairOptions): Promise<Pair> {
  const [onePort, otherPort, oneClientPort, otherClientPort] = (await freePorts(4)) as [number, number, number, number];
  const there = hasLine ? await Line.to(otherPort) : undefined;
  const back = hasLine ? await Line.to(onePort) : undefined;
  const common = { authorityFile: authority.file, isDialback };
  const first: FederatedOptions = {
    ...common,
    kind: 'rookery',
    domain: OURS,
    port: oneClientPort,
    s2sPort: onePort,
    certificate: ours,
    peer: { domain: THEIRS, port: there?.port ?? otherPort },
    workers: '2',
    lines,
  };
  const second: FederatedOptions = {
    ...common,
    kind,
    domain: THEIRS,
    port: otherClientPort,
    s2sPort: otherPort,
    certificate: theirs,
    peer: { domain: OURS, port: back?.port ?? onePort },
  };
  const started = await Promise.allSettled([startFederated(first), startFederated(second)]);
  const failed = started.find(({ status }) => status === 'rejected');
  if (failed !== undefined) {
    for (const each of started) if (each.status === 'fulfilled') await each.value[Symbol.asyncDispose]();
    throw (failed as PromiseRejectedResult).reason;
  }
  const [one, other] = started.map((each) => (each as PromiseFulfilledResult<Federated>).value) as [Federated, Federated];
  return {
    one,
    other,
    there,
    back,
    async [Symbol.asyncDispose]() {
      await Promise.all([one[Symbol.asyncDispose](), other[Symbol.asyncDispose]()]);
      await there?.[Symbol.asyncDispose]();
      await back?.[Symbol.asyncDispose]();
    },
  };
}

/** As public authorities issue them: only good for servers. What ejabberd 23.01 is shown has to be good for clients, too. */
const certificate = (from: Authority, domain: string, shownTo?: Kind): Promise<CertificateFiles> =>
  from.issue({ names: [`DNS:${domain}`], uses: shownTo === 'ejabberd' ? 'serverAuth,clientAuth' : 'serverAuth' });

async function play(pair: Pair): Promise<void> {
  const { juliet } = pair.one.cast;
  const { romeo } = pair.other.cast;
  for (const client of [juliet, romeo]) {
    await client.sends(`<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>`);
    await client.takes('the roster', ({ attrs }) => attrs['id'] === 'r');
    await client.sends('<presence/>');
  }
  await exchange(juliet, romeo, 'a');
  await exchange(romeo, juliet, 'b');

  // Who is not there cannot be told from who is: RFC 6121 §8.5.1
  await juliet.sends(`<message to='nobody@${THEIRS}' type='chat' id='n'><body>?</body></message>`);
  await juliet.takes('the error', ({ attrs }) => attrs['id'] === 'n' && attrs['type'] === 'error');
  await romeo.sends(`<message to='nobody@${OURS}' type='chat' id='n'><body>?</body></message>`);
  await romeo.takes('the error', ({ attrs }) => attrs['id'] === 'n' && attrs['type'] === 'error');

  for (const [asker, asked] of [
    [juliet, romeo],
    [romeo, juliet],
  ] as const) {
    await asker.sends(`<presence to='${asked.bare}' type='subscribe'/>`);
    await asked.takes(
      'the request',
      ({ name, attrs }) => name === 'presence' && attrs['type'] === 'subscribe' && attrs['from'] === asker.bare,
    );
    await asked.sends(`<presence to='${asker.bare}' type='subscribed'/>`);
    await asker.takes(
      'the consent',
      ({ name, attrs }) => name === 'presence' && attrs['type'] === 'subscribed' && attrs['from'] === asked.bare,
    );
    await asker.takes(
      'the presence',
      ({ name, attrs }) => name === 'presence' && attrs['type'] === undefined && attrs['from'] === asked.full,
    );
    await asked.sends('<presence><show>away</show></presence>');
    await asker.takes(
      'the change',
      ({ name, attrs, children }) => name === 'presence' && attrs['from'] === asked.full && children.length > 0,
    );
  }
  await romeo.disconnects();
  await juliet.takes(
    'that he is gone',
    ({ name, attrs }) => name === 'presence' && attrs['type'] === 'unavailable' && attrs['from'] === romeo.full,
  );
}

async function exchange(from: Client, to: Client, id: string): Promise<void> {
  await from.sends(`<message to='${to.full}' type='chat' id='m${id}'><body>Wherefore &amp; ü</body></message>`);
  const message = await to.takes('the message', ({ attrs }) => attrs['id'] === `m${id}`);
  assert.equal(message.attrs['from'], from.full);
  assert.match(JSON.stringify(message.children), /Wherefore & ü/);
  await from.sends(`<iq to='${to.full}' type='get' id='q${id}'><query xmlns='urn:example:question'/></iq>`);
  await to.takes('the request', ({ name, attrs }) => name === 'iq' && attrs['id'] === `q${id}` && attrs['from'] === from.full);
  await to.sends(`<iq to='${from.full}' type='result' id='q${id}'><query xmlns='urn:example:question'/></iq>`);
  await from.takes('the answer', ({ name, attrs }) => name === 'iq' && attrs['id'] === `q${id}` && attrs['type'] === 'result');
  await from.sends(`<iq to='${to.domain}' type='get' id='p${id}'><ping xmlns='urn:xmpp:ping'/></iq>`);
  await from.takes('the pong', ({ attrs }) => attrs['id'] === `p${id}` && attrs['type'] === 'result');
}

for (const kind of OTHERS) {
  const skip = hasAuthority ? (isInstalled(kind) ? false : `${kind} is not installed`) : 'there is no openssl';

  test(`with ${kind}, certificates only: SASL EXTERNAL`, { skip }, async () => {
    const [ours, theirs] = [await certificate(authority, OURS, kind), await certificate(authority, THEIRS)];
    await using pair = await startPair(kind, { isDialback: false, ours, theirs, hasLine: true });
    await play(pair);
    const links = await pair.one.links();
    assert.deepEqual(
      new Set(links.map(({ direction, auth, tls }) => `${direction} ${auth} ${tls}`)),
      new Set(['in external TLSv1.3', 'out external TLSv1.3']),
    );
    assert.ok(kind === 'ejabberd' || links.every(({ isManaged }) => isManaged), JSON.stringify(links));
    if (kind !== 'ejabberd') await cutInTheMiddle(kind, pair); // which does no stream management between servers
  });

  test(`with ${kind}, certificates of nobody: dialback`, { skip }, async () => {
    const [ours, theirs] = [await certificate(stranger, OURS), await certificate(stranger, THEIRS)];
    await using pair = await startPair(kind, { isDialback: true, ours, theirs });
    await play(pair);
    const links = await pair.one.links();
    assert.deepEqual(new Set(links.map(({ direction, auth }) => `${direction} ${auth}`)), new Set(['in dialback', 'out dialback']));
  });

  test(`with ${kind}: a wrong certificate is refused, by either side`, { skip }, async () => {
    const [ours, wrong] = [await certificate(authority, OURS), await certificate(authority, 'tybalt.test')];
    await using pair = await startPair(kind, { isDialback: false, ours, theirs: wrong });
    const { juliet } = pair.one.cast;
    const { romeo } = pair.other.cast;
    await juliet.sends(`<message to='x@${THEIRS}' type='chat' id='w'><body>?</body></message>`);
    const error = await juliet.takes('the refusal', ({ attrs }) => attrs['id'] === 'w' && attrs['type'] === 'error');
    assert.match(JSON.stringify(error.children), /remote-server-not-found.*certificate/);
    await romeo.sends(`<message to='${juliet.full}' type='chat' id='v'><body>?</body></message>`);
    await romeo.takes('the refusal', ({ attrs }) => attrs['id'] === 'v' && attrs['type'] === 'error');
  });
}

/** Links are cut in the middle of traffic: nothing is lost. */
async function cutInTheMiddle(kind: Kind, pair: Pair): Promise<void> {
  const { juliet } = pair.one.cast;
  const { romeo } = pair.other.cast;
  await romeo.connects(); // he has left
  await juliet.sends('<presence/>');
  await romeo.sends('<presence/>');
  await exchange(juliet, romeo, 'a');
  await exchange(romeo, juliet, 'b');
  const count = 300;
  for (let i = 0; i < count; i++) {
    await juliet.writes(`<message to='${romeo.full}' type='chat' id='t${i}'><body>${'x'.repeat(200)}</body></message>`);
    if (kind === 'rookery')
      await romeo.writes(`<message to='${juliet.full}' type='chat' id='t${i}'><body>${'x'.repeat(200)}</body></message>`);
    if (i % 60 === 30) {
      pair.there!.cut();
      pair.back!.cut();
    }
    if (i % 10 === 9) await new Promise((done) => setTimeout(done, 5)); // the cuts are to come while stanzas are under way
  }
  await arriveInOrder(romeo, count, kind === 'rookery');
  if (kind === 'rookery') await arriveInOrder(juliet, count, true);
}

/** Every message, first seen in order; where the stream is resumed, none twice. */
async function arriveInOrder(client: Client, count: number, isExact: boolean): Promise<void> {
  const seen = new Set<string>();
  const ids: string[] = [];
  while (seen.size < count) {
    const { attrs } = await client.takes(
      `message ${seen.size} of ${count}`,
      ({ name, attrs: { id } }) => name === 'message' && (id?.startsWith('t') ?? false),
    );
    assert.notEqual(attrs['type'], 'error');
    if (!seen.has(attrs['id']!)) ids.push(attrs['id']!);
    else assert.ok(!isExact, `${attrs['id']} came twice`);
    seen.add(attrs['id']!);
  }
  assert.deepEqual(
    ids,
    Array.from({ length: count }, (_, i) => `t${i}`),
  );
}
