/**
 * Our server and others, each a process of its own, over TCP and TLS with certificates of an authority made for the test.
 * Those that are not installed are skipped.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { callAny, callControl } from '../../src/control/client.ts';
import { controlPath } from '../../src/control/protocol.ts';
import { Authority, hasOpenssl, type CertificateFiles } from '../harness/authority.ts';
import type { Client } from '../harness/cast.ts';
import { isInstalled, Line, startFederated, type Federated, type FederatedOptions, type Kind } from '../harness/federated.ts';
import { NameServer } from '../harness/name-server.ts';
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
  readonly isDirectTls?: boolean;
  readonly isBidi?: boolean;
  /** Ours. */
  readonly isDrill?: boolean;
  readonly lines?: readonly string[];
}

interface Pair extends AsyncDisposable {
  readonly one: Federated;
  readonly other: Federated;
  /** From ours to theirs, and back, where asked for. */
  readonly there: Line | undefined;
  readonly back: Line | undefined;
}

async function startPair(
  kind: Kind,
  { isDialback, ours, theirs, hasLine = false, isDirectTls = false, isBidi = false, isDrill = false, lines = [] }: PairOptions,
): Promise<Pair> {
  const [onePort, otherPort, oneClientPort, otherClientPort] = (await freePorts(4)) as [number, number, number, number];
  const there = hasLine ? await Line.to(otherPort) : undefined;
  const back = hasLine ? await Line.to(onePort) : undefined;
  const common = { authorityFile: authority.file, isDialback, isDirectTls, isBidi };
  const first: FederatedOptions = {
    ...common,
    kind: 'rookery',
    domain: OURS,
    port: oneClientPort,
    s2sPort: onePort,
    certificate: ours,
    peer: { domain: THEIRS, port: there?.port ?? otherPort },
    workers: '2',
    isDrill,
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

const skipOwn = hasAuthority ? false : 'there is no openssl';

for (const kind of ['rookery', 'prosody'] as const) {
  const skip = hasAuthority ? (isInstalled(kind) ? false : `${kind} is not installed`) : skipOwn;
  test(`XEP-0288: with ${kind}, one stream carries stanzas both ways`, { skip }, async () => {
    const [ours, theirs] = [await certificate(authority, OURS), await certificate(authority, THEIRS)];
    await using pair = await startPair(kind, { isDialback: false, ours, theirs, isBidi: true });
    const [{ juliet }, { romeo }] = [pair.one.cast, pair.other.cast];
    for (const client of [juliet, romeo]) await client.sends('<presence/>');
    // One after the other: who has no stream yet opens one.
    await exchange(juliet, romeo, 'a');
    await exchange(romeo, juliet, 'b');
    const links = await pair.one.links();
    assert.deepEqual(
      links.map(({ direction, isBidi }) => ({ direction, isBidi })),
      [{ direction: 'out', isBidi: true }],
    );
    assert.ok(links[0]!.stanzasIn > 0 && links[0]!.stanzasOut > 0, JSON.stringify(links));
    await play(pair);
    assert.equal((await pair.one.links()).length, 1);
  });
}

test('XEP-0368: TLS from the first byte, in both directions', { skip: skipOwn }, async () => {
  const [ours, theirs] = [await certificate(authority, OURS), await certificate(authority, THEIRS)];
  await using pair = await startPair('rookery', { isDialback: false, ours, theirs, isDirectTls: true });
  await play(pair);
  const links = await pair.one.links();
  assert.deepEqual(
    new Set(links.map(({ direction, auth, tls }) => `${direction} ${auth} ${tls}`)),
    new Set(['in external TLSv1.3', 'out external TLSv1.3']),
  );
});

test('RFC 6120 §3.2, XEP-0368: servers find one another by name, past places where nobody is', { skip: skipOwn }, async () => {
  const [ours, theirs] = [await certificate(authority, OURS), await certificate(authority, THEIRS)];
  const [one, other, oneClients, otherClients, closed] = (await freePorts(5)) as [number, number, number, number, number];
  const place = (priority: number, port: number) => ({ type: 'SRV', priority, weight: 1, port, target: 'there.test' }) as const;
  await using names = await NameServer.start({
    [`_xmpp-server._tcp.${OURS}`]: [place(10, one)],
    [`_xmpp-server._tcp.${THEIRS}`]: [place(20, other), place(10, closed)],
    'there.test': [{ type: 'A', address: '127.0.0.1' }],
    '_xmpp-server._tcp.tybalt.test': [{ type: 'SRV', priority: 0, weight: 0, port: 0, target: '.' }],
    '_xmpp-server._tcp.paris.test': 'silent',
    '_xmpps-server._tcp.paris.test': 'silent',
  });
  const common = { kind: 'rookery', authorityFile: authority.file, isDialback: false, nameServer: names.address } as const;
  await using first = await startFederated({
    ...common,
    domain: OURS,
    port: oneClients,
    s2sPort: one,
    certificate: ours,
    peer: { domain: THEIRS, port: undefined },
  });
  await using second = await startFederated({
    ...common,
    domain: THEIRS,
    port: otherClients,
    s2sPort: other,
    certificate: theirs,
    peer: { domain: OURS, port: undefined },
  });
  const { juliet } = first.cast;
  const { romeo } = second.cast;
  for (const client of [juliet, romeo]) await client.sends('<presence/>');
  await exchange(juliet, romeo, 'a');
  await exchange(romeo, juliet, 'b');
  assert.ok(names.asked.includes(`_xmpps-server._tcp.${THEIRS} 33`), names.asked.join());

  for (const [domain, condition] of [
    ['tybalt.test', 'remote-server-not-found'], // says that it has none
    ['nowhere.test', 'remote-server-not-found'], // does not exist
    ['paris.test', 'remote-server-timeout'], // nobody says anything
  ] as const) {
    await juliet.sends(`<message to='x@${domain}' type='chat' id='${domain}'><body>?</body></message>`);
    const error = await juliet.takes(domain, ({ attrs }) => attrs['id'] === domain && attrs['type'] === 'error');
    assert.match(JSON.stringify(error.children), new RegExp(condition), domain);
  }
});

test('an operator closes the links with a server, and what is sent then takes new ones', { skip: skipOwn }, async () => {
  const [ours, theirs] = [await certificate(authority, OURS), await certificate(authority, THEIRS)];
  await using pair = await startPair('rookery', { isDialback: false, ours, theirs });
  const { one, other } = pair;
  const [{ juliet }, { romeo }] = [one.cast, other.cast];
  for (const client of [juliet, romeo]) await client.sends('<presence/>');
  await exchange(juliet, romeo, 'a');
  await exchange(romeo, juliet, 'b');
  const close = (domain: string) => callControl(controlPath(one.directory), 's2s close', { domain });
  const before = await one.links();
  const { count } = await close(THEIRS);
  assert.equal(count, before.length);
  await exchange(juliet, romeo, 'c');
  await exchange(romeo, juliet, 'd');
  const known = new Set(before.map(({ direction, sinceMs }) => `${direction} ${sinceMs}`));
  const after = (await one.links()).filter(({ state }) => !state.startsWith('clos'));
  assert.ok(
    after.length > 0 && after.every(({ direction, sinceMs }) => !known.has(`${direction} ${sinceMs}`)),
    JSON.stringify({ before, after }),
  );
  assert.equal((await close('tybalt.test')).count, 0);
  await assert.rejects(close('romeo@montague.test'), /ERR_ADDRESS|is no domain/);
});

test('an operator looks how far a link to a server comes', { skip: skipOwn }, async () => {
  const [ours, theirs] = [await certificate(authority, OURS), await certificate(authority, THEIRS)];
  const [closed] = (await freePorts(1)) as [number];
  const lines = [`[remote."tybalt.test"]`, `address = ["127.0.0.1:${closed}"]`];
  await using pair = await startPair('rookery', { isDialback: false, ours, theirs, lines });
  const check = (domain: string) => callControl(controlPath(pair.one.directory), 's2s check', { domain });
  const good = await check(THEIRS);
  assert.deepEqual(
    good.flatMap(({ what, isGood }) => (isGood ? [] : [what])),
    ['dialback'], // which that one does not offer
  );
  assert.deepEqual(good.at(-1), { what: 'outcome', isGood: true, text: 'stanzas can be sent there' });
  assert.match(JSON.stringify(good), /TLSv1\.3/);
  const bad = await check('tybalt.test');
  assert.equal(bad.at(-1)?.isGood, false, JSON.stringify(bad));
  assert.match(JSON.stringify(bad), /ECONNREFUSED/);
  assert.deepEqual(await pair.one.links(), [], 'nothing stays open');
});

test(
  'when worker threads end while messages of another server come, each one arrives or its sender is told',
  { skip: skipOwn },
  async () => {
    const [ours, theirs] = [await certificate(authority, OURS), await certificate(authority, THEIRS)];
    await using pair = await startPair('rookery', { isDialback: false, ours, theirs, isDrill: true });
    const [{ juliet }, { romeo }] = [pair.one.cast, pair.other.cast];
    for (const client of [juliet, romeo]) await client.sends('<presence/>');
    await exchange(romeo, juliet, 'a');
    await juliet.disconnects();
    const control = controlPath(pair.one.directory);
    const killWorker = async (worker: number): Promise<void> => {
      await callAny(control, 'drill kill-worker', { worker });
      const isUp = async () =>
        (await callControl(control, 'status', {})).workers.every(
          ({ state, restarts }, i) => state === 'running' && (i !== worker || restarts > 0),
        );
      while (!(await isUp())) await new Promise((done) => setTimeout(done, 50));
    };
    const count = 300;
    const killed: Promise<void>[] = [];
    for (let i = 0; i < count; i++) {
      await romeo.writes(`<message to='${juliet.bare}' type='chat' id='t${i}'><body>${'x'.repeat(200)}</body></message>`);
      // One has juliet's account, the other may have the link. What comes meanwhile finds it away.
      if (i === 100 || i === 200) killed.push(killWorker(i / 100 - 1));
      if (i === 199) await killed[0];
    }
    await Promise.all(killed);
    await juliet.connects();
    await juliet.sends('<presence/>');
    await romeo.sends(`<message to='${juliet.bare}' type='chat' id='end'><body>!</body></message>`);
    const arrived: number[] = [];
    for (let id = ''; id !== 'end';) {
      const { attrs } = await juliet.takes('the next message', ({ name }) => name === 'message');
      id = attrs['id']!;
      if (id !== 'end' && !arrived.includes(Number(id.slice(1)))) arrived.push(Number(id.slice(1)));
    }
    assert.deepEqual(
      arrived,
      arrived.toSorted((a, b) => a - b),
    );
    for (let i = 0; i < count; i++) {
      if (arrived.includes(i)) continue;
      const { attrs } = await romeo.takes(`word of t${i}`, (each) => each.attrs['id'] === `t${i}`);
      assert.equal(attrs['type'], 'error'); // RFC 6120 §8.3.3.18: to be tried again
    }
  },
);

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
