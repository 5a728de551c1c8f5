/** Links to other servers: how they are found, what they show, and what becomes of stanzas meanwhile. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeTlsFacts } from '../../src/net/memory-pair.ts';
import type { NameService } from '../../src/net/service-records.ts';
import { openMemory } from '../../src/store/memory.ts';
import { alone, LOCAL, REMOTE, tlsFor, type Alone, type Peer } from './fixture.ts';

const STREAMS = `xmlns:stream='http://etherx.jabber.org/streams'`;
const SM = 'urn:xmpp:sm:3';
const header = (id: string, from = REMOTE): string =>
  `<?xml version='1.0'?><stream:stream xmlns='jabber:server' ${STREAMS} xmlns:db='jabber:server:dialback' from='${from}' to='${LOCAL}' id='${id}' version='1.0'>`;
const features = (inner: string): string => `<stream:features>${inner}</stream:features>`;
const STARTTLS = `<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`;
const PROCEED = `<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`;
const EXTERNAL = `<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism></mechanisms>`;
const DIALBACK = `<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>`;
const SUCCESS = `<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>`;

const unread = (peer: Peer): Promise<string> => peer.hears();

/** The other server up to its features under TLS; what is said to them. */
async function secures(peer: Peer, offered: string): Promise<string> {
  assert.match(await unread(peer), new RegExp(`<stream:stream [^>]*from='${LOCAL}' to='${REMOTE}' version='1.0'`));
  assert.match(await peer.says(header('s1') + features(STARTTLS)), /<starttls/);
  await peer.says(PROCEED);
  return peer.says(header('s2') + features(offered));
}

/** All the way to a stream that takes stanzas; what is said then. */
async function accepts(peer: Peer, last = ''): Promise<string> {
  assert.match(await secures(peer, EXTERNAL + DIALBACK), /<auth [^>]*mechanism='EXTERNAL'>Y2FwdWxldC5saXQ=<\/auth>/);
  await peer.says(SUCCESS);
  return peer.says(header('s3') + features(last));
}

async function writes(here: Alone, id: string, body = id): Promise<void> {
  await here.cast.juliet.sends(`<message to='romeo@${REMOTE}' type='chat' id='${id}'><body>${body}</body></message>`);
}

async function refused(here: Alone, id: string, condition: string): Promise<void> {
  const error = await here.cast.juliet.takes(`the error of ${id}`, ({ attrs }) => attrs['id'] === id && attrs['type'] === 'error');
  assert.match(JSON.stringify(error), new RegExp(`"${condition}"`));
}

test('stanzas wait for the link, and leave in order', async () => {
  await using here = await alone();
  await writes(here, 'm1');
  await writes(here, 'm2');
  assert.equal(here.dialed.length, 1);
  const said = await accepts(here.dialed[0]!.peer);
  assert.match(
    said,
    /^<message from='juliet@capulet.lit\/window' to='romeo@montague.lit' type='chat' id='m1'><body>m1<\/body><\/message><message .*id='m2'/,
  );
  await here.cast.juliet.receivesNothing();
});

test('RFC 6120 §3.2: SRV records of both kinds in their order, each address once', async () => {
  const names: NameService = {
    srv: async (name) =>
      name.startsWith('_xmpps-server.')
        ? [{ name: 'secure.lit', port: 5270, priority: 20, weight: 0 }]
        : [
            { name: 'second.lit', port: 5269, priority: 10, weight: 0 },
            { name: 'first.lit', port: 5299, priority: 5, weight: 0 },
          ],
    addresses: async (name) => (name === 'first.lit' ? ['2001:db8::1', '192.0.2.1'] : [`192.0.2.${name.length}`]),
  };
  await using here = await alone({ names });
  const tried: string[] = [];
  here.dialing = ({ address, port, isDirectTls }) => {
    tried.push(`${address} ${port} ${isDirectTls}`);
    return new Error('connect ECONNREFUSED');
  };
  await writes(here, 'm1');
  await refused(here, 'm1', 'remote-server-timeout');
  assert.deepEqual(tried, ['2001:db8::1 5299 false', '192.0.2.1 5299 false', '192.0.2.10 5269 false', '192.0.2.10 5270 true']);
});

test('RFC 6120 §8.3.3.16, §8.3.3.17: who does not exist, and who does not answer', async () => {
  const absent = Object.assign(new Error('queryA ENOTFOUND'), { code: 'ENOTFOUND' });
  const silent = Object.assign(new Error('queryA ETIMEOUT'), { code: 'ETIMEOUT' });
  for (const [srv, addresses, condition] of [
    [absent, absent, 'remote-server-not-found'],
    [silent, silent, 'remote-server-timeout'],
    [absent, silent, 'remote-server-timeout'],
  ] as const) {
    const names: NameService = { srv: async () => Promise.reject(srv), addresses: async () => Promise.reject(addresses) };
    await using here = await alone({ names });
    await writes(here, 'm1');
    await refused(here, 'm1', condition);
  }
  await using here = await alone({
    names: { srv: async () => [{ name: '', port: 0, priority: 0, weight: 0 }], addresses: async () => ['192.0.2.1'] },
  });
  await writes(here, 'm1');
  await refused(here, 'm1', 'remote-server-not-found'); // RFC 2782: no such service
});

test('negative caching: after a failure nobody waits, and it is tried again later, ever more rarely', async () => {
  await using here = await alone();
  let attempts = 0;
  here.dialing = () => {
    attempts++;
    return new Error('connect ECONNREFUSED');
  };
  await writes(here, 'm1');
  await refused(here, 'm1', 'remote-server-timeout');
  await writes(here, 'm2');
  await refused(here, 'm2', 'remote-server-timeout');
  assert.equal(attempts, 1);
  await here.advance(5_100);
  await writes(here, 'm3');
  await refused(here, 'm3', 'remote-server-timeout');
  assert.equal(attempts, 2);
  await here.advance(5_100);
  await writes(here, 'm4');
  assert.equal(attempts, 2);
  await here.advance(5_100);
  await writes(here, 'm5');
  assert.equal(attempts, 3);
  // An error is never answered: RFC 6120 §8.3.1
  const before = here.target.runtime.s2s!.counters.refused;
  await here.cast.juliet.sends(
    `<message to='romeo@${REMOTE}' type='error' id='e'><error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>`,
  );
  await here.cast.juliet.collects();
  assert.equal(here.target.runtime.s2s!.counters.refused, before + 1);
  assert.deepEqual(await here.cast.juliet.collects(), []);
});

test('a wrong certificate: dialback or nothing', async () => {
  await using here = await alone({ config: { s2s: { isDialback: false } } });
  here.dialing = () => ({ startTls: tlsFor('tybalt.lit') });
  await writes(here, 'm1');
  const { peer } = here.dialed[0]!;
  await unread(peer);
  await peer.says(header('s1') + features(STARTTLS));
  assert.match(await peer.says(PROCEED), /<stream:error><not-authorized .*certificate/);
  await refused(here, 'm1', 'remote-server-not-found');

  await using other = await alone();
  other.dialing = () => ({ startTls: makeTlsFacts() });
  await writes(other, 'm1');
  const second = other.dialed[0]!.peer;
  assert.match(await secures(second, DIALBACK), /<db:result from='capulet.lit' to='montague.lit'>[0-9a-f]{64}<\/db:result>/);
  assert.match(await second.says(`<db:result from='${REMOTE}' to='${LOCAL}' type='valid'/>`), /<message /);
});

test('TLS that is required and not offered', async () => {
  await using here = await alone();
  await writes(here, 'm1');
  const { peer } = here.dialed[0]!;
  assert.match(await peer.says(header('s1') + features(DIALBACK)), /<stream:error><policy-violation /);
  await refused(here, 'm1', 'remote-server-not-found');

  await using plain = await alone({ config: { s2s: { isTlsRequired: false } } });
  await writes(plain, 'm1');
  assert.match(await plain.dialed[0]!.peer.says(header('s1') + features(DIALBACK)), /<db:result /);
});

test('STARTTLS injection: what follows proceed in the clear ends the stream', async () => {
  await using here = await alone();
  await writes(here, 'm1');
  const { peer } = here.dialed[0]!;
  await peer.says(header('s1') + features(STARTTLS));
  assert.match(await peer.says(PROCEED + header('s2') + features(EXTERNAL)), /<stream:error><policy-violation /);
  await refused(here, 'm1', 'remote-server-timeout');
});

test('XEP-0178 §3: EXTERNAL refused, dialback on the same stream, or from the start where that ends', async () => {
  await using here = await alone();
  await writes(here, 'm1');
  const first = here.dialed[0]!.peer;
  await secures(first, EXTERNAL + DIALBACK);
  assert.match(await first.says(`<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>`), /<db:result /);
  first.client.reset();
  await here.settle();
  assert.equal(here.dialed.length, 2);
  const second = here.dialed[1]!.peer;
  assert.match(await secures(second, EXTERNAL + DIALBACK), /<db:result /);
  second.client.reset();
  await refused(here, 'm1', 'remote-server-timeout');
  assert.equal(here.dialed.length, 2);
});

test('XEP-0220 §2.1.1: what becomes of stanzas where dialback fails', async () => {
  for (const [answer, condition] of [
    [`type='invalid'/>`, 'internal-server-error'],
    [
      `type='error'><error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:result>`,
      'remote-server-timeout',
    ],
  ] as const) {
    await using here = await alone();
    await writes(here, 'm1');
    const { peer } = here.dialed[0]!;
    await secures(peer, DIALBACK);
    await peer.says(`<db:result from='${REMOTE}' to='${LOCAL}' ${answer}`);
    await refused(here, 'm1', condition);
  }
});

test('dialback spoof: only the answer that was asked for', async () => {
  for (const spoof of [
    `<db:result from='tybalt.lit' to='${LOCAL}' type='valid'/>`,
    `<db:result from='${REMOTE}' to='verona.lit' type='valid'/>`,
    `<db:verify from='${REMOTE}' to='${LOCAL}' id='s2' type='valid'/>`,
    `<db:result from='${REMOTE}' to='${LOCAL}'>00</db:result>`,
  ]) {
    await using here = await alone();
    await writes(here, 'm1');
    const { peer } = here.dialed[0]!;
    await secures(peer, DIALBACK);
    assert.match(await peer.says(spoof), /<stream:error><policy-violation /);
    await refused(here, 'm1', 'remote-server-timeout');
  }
});

test('S2S from spoof: nothing comes back over a stream that goes one way', async () => {
  await using here = await alone();
  await writes(here, 'm1');
  const { peer } = here.dialed[0]!;
  await accepts(peer);
  assert.match(
    await peer.says(`<message from='romeo@${REMOTE}' to='juliet@${LOCAL}'><body>!</body></message>`),
    /<stream:error><invalid-from /,
  );
});

test('XEP-0288: what comes back is of the pair, turned round', async () => {
  await using here = await alone({ config: { s2s: { isBidi: true } } });
  await writes(here, 'm1');
  const { peer } = here.dialed[0]!;
  const said = await secures(peer, `${EXTERNAL}<bidi xmlns='urn:xmpp:features:bidi'/>`);
  assert.match(said, /<bidi xmlns='urn:xmpp:bidi'\/><auth /);
  await peer.says(SUCCESS);
  await peer.says(header('s3') + features(''));
  assert.equal(
    await peer.says(`<iq from='${REMOTE}' to='${LOCAL}' type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>`),
    `<iq from='${LOCAL}' to='${REMOTE}' type='result' id='1'/>`,
  );
  assert.match(
    await peer.says(`<message from='x@tybalt.lit' to='juliet@${LOCAL}'><body>!</body></message>`),
    /<stream:error><invalid-from /,
  );
});

test('prototype pollution: another server may be called anything', async () => {
  for (const domain of ['constructor', 'tostring', 'valueof']) {
    await using here = await alone();
    await here.cast.juliet.sends(`<message to='x@${domain}' id='m1'><body>?</body></message>`);
    assert.deepEqual(
      here.dialed.map(({ remote, place }) => `${remote} ${place.address}`),
      [`${domain} 192.0.2.7`],
    );
  }
});

test('host-unknown at the other side', async () => {
  await using here = await alone();
  await writes(here, 'm1');
  await here.dialed[0]!.peer.says(
    `${header('s1')}<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>`,
  );
  await refused(here, 'm1', 'remote-server-not-found');
});

test('a server that says nothing', async () => {
  await using here = await alone();
  await writes(here, 'm1');
  await here.advance(31_000);
  await refused(here, 'm1', 'remote-server-timeout');
});

test('XEP-0198: a cut link is resumed, and nothing comes twice', async () => {
  await using here = await alone();
  await writes(here, 'm1');
  const first = here.dialed[0]!.peer;
  assert.equal(await accepts(first, `<sm xmlns='${SM}'/>`), `<enable xmlns='${SM}' resume='true'/>`);
  assert.match(await first.says(`<enabled xmlns='${SM}' id='tok' resume='true' max='300'/>`), /id='m1'/);
  await writes(here, 'm2');
  await writes(here, 'm3');
  assert.match(await unread(first), /id='m2'.*id='m3'/);
  first.client.reset();
  await here.settle();
  await writes(here, 'm4');
  const second = here.dialed[1]!.peer;
  assert.equal(await accepts(second, `<sm xmlns='${SM}'/>`), `<resume xmlns='${SM}' previd='tok' h='0'/>`);
  const again = await second.says(`<resumed xmlns='${SM}' previd='tok' h='2'/>`);
  assert.match(again, /^<message [^>]*id='m3'.*<message [^>]*id='m4'/);
  assert.doesNotMatch(again, /id='m2'/);
  await here.advance(600);
  assert.match(await unread(second), new RegExp(`<r xmlns='${SM}'/>`));
  await second.says(`<a xmlns='${SM}' h='4'/>`);
  await here.cast.juliet.receivesNothing();
});

test('XEP-0198: where it cannot be resumed, messages go again and requests are answered', async () => {
  await using here = await alone();
  await writes(here, 'm1');
  const first = here.dialed[0]!.peer;
  await accepts(first, `<sm xmlns='${SM}'/>`);
  await first.says(`<enabled xmlns='${SM}' id='tok' resume='true'/>`);
  await here.cast.juliet.sends(`<iq to='romeo@${REMOTE}/x' type='set' id='q1'><x xmlns='urn:x'/></iq>`);
  first.client.reset();
  await here.settle();
  const second = here.dialed[1]!.peer;
  await accepts(second, `<sm xmlns='${SM}'/>`);
  const said = await second.says(`<failed xmlns='${SM}'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>`);
  assert.match(said, /<enable /);
  assert.match(await second.says(`<enabled xmlns='${SM}'/>`), /id='m1'/);
  await refused(here, 'q1', 'remote-server-timeout');
});

test('promise 1: what is owed to another server outlives this one', async () => {
  const store = openMemory();
  {
    await using here = await alone({ store });
    await here.cast.juliet.sends(`<enable xmlns='${SM}'/>`);
    await here.cast.juliet.takes('enabled', ({ name }) => name === 'enabled');
    await writes(here, 'm1');
    await here.cast.juliet.sends(`<r xmlns='${SM}'/>`);
    const { attrs } = await here.cast.juliet.takes('the acknowledgement', ({ name }) => name === 'a');
    assert.equal(attrs['h'], '1'); // before there is any connection
  }
  await using later = await alone({ store });
  await later.target.runtime.wakeAccounts();
  await later.settle();
  assert.match(await accepts(later.dialed[0]!.peer), /id='m1'/);
});

test('what does not fit waits in the accounts, and everything else is refused', async () => {
  await using here = await alone({ config: { s2s: { queueStanzas: 16 } } });
  for (let i = 1; i <= 40; i++) await writes(here, `m${i}`);
  await here.cast.juliet.sends(`<iq to='${REMOTE}' type='get' id='q1'><ping xmlns='urn:xmpp:ping'/></iq>`);
  await refused(here, 'q1', 'resource-constraint');
  const { peer } = here.dialed[0]!;
  let text = await accepts(peer);
  for (let i = 0; i < 8; i++) {
    await here.advance(5_500);
    text += await unread(peer);
  }
  const ids = [...text.matchAll(/ id='(m\d+)'/g)].map(([, id]) => id);
  assert.deepEqual(
    ids,
    Array.from({ length: 40 }, (_, i) => `m${i + 1}`),
  );
});
