/** XEP-0388, XEP-0386, XEP-0198 within them: a login with everything a session needs, in one round trip. */
import assert from 'node:assert/strict';
import { makeTlsFacts } from '../../src/net/memory-pair.ts';
import { ScramClient } from '../sasl/scram-client.ts';
import { childElements, childOf, textOf, type XmlElement } from '../harness/xml.ts';
import { transcript } from '../harness/transcript.ts';
import {
  authenticate,
  base64,
  BIND2,
  failure,
  FAST,
  jidIn,
  ONLY_OURS,
  opened,
  OTHER_CLIENT_ID,
  SASL,
  SASL2,
  SM,
  succeeds,
  userAgent,
  withPassword,
} from './sasl2-client.ts';

const CARBONS = 'urn:xmpp:carbons:2';
const CSI = 'urn:xmpp:csi:0';
const STANZAS = 'urn:ietf:params:xml:ns:xmpp-stanzas';
const STREAMS = 'http://etherx.jabber.org/streams';
const bind = (...inside: readonly string[]): string => `<bind xmlns='${BIND2}'>${inside.join('')}</bind>`;
const tag = (text: string): string => `<tag>${text}</tag>`;
const enableSm = (attrs = `resume='true'`): string => `<enable xmlns='${SM}' ${attrs}/>`;

// What is offered

transcript('XEP-0388 §2.1, XEP-0386 §3.1: what is offered, and what may come with it', ONLY_OURS, async (cast) => {
  const client = await cast.raw();
  const features = await client.beginsStream();
  const authentication = childOf(features, 'authentication', SASL2)!;
  const mechanisms = childElements(authentication).filter(({ name }) => name === 'mechanism');
  assert.deepEqual(mechanisms.map(textOf), childElements(childOf(features, 'mechanisms', SASL)!).map(textOf));
  const inline = childOf(authentication, 'inline', SASL2)!;
  assert.ok(childOf(inline, 'sm', SM));
  const bindFeature = childOf(childOf(inline, 'bind', BIND2)!, 'inline', BIND2)!;
  assert.deepEqual(
    childElements(bindFeature)
      .map(({ attrs }) => attrs['var'])
      .sort(),
    [CARBONS, CSI, SM],
  );
  const fast = childOf(inline, 'fast', FAST)!;
  assert.deepEqual(childElements(fast).map(textOf), ['HT-SHA-256-NONE']); // no channel binding without TLS
  assert.equal(fast.attrs['tls-0rtt'], undefined);
});

transcript('XEP-0440 §2, XEP-0484 §3.1: under TLS there is channel binding, for both profiles and for tokens', ONLY_OURS, async (cast) => {
  cast.memory.connectionOptions = { tls: makeTlsFacts() };
  const client = await cast.raw();
  const features = await client.beginsStream();
  const types = childElements(childOf(features, 'sasl-channel-binding', 'urn:xmpp:sasl-cb:0')!).map(({ attrs }) => attrs['type']);
  assert.deepEqual(types, ['tls-exporter', 'tls-server-end-point']);
  const authentication = childOf(features, 'authentication', SASL2)!;
  const mechanisms = childElements(authentication).filter(({ name }) => name === 'mechanism');
  assert.ok(mechanisms.map(textOf).includes('SCRAM-SHA-256-PLUS'));
  const fast = childOf(childOf(authentication, 'inline', SASL2)!, 'fast', FAST)!;
  assert.deepEqual(childElements(fast).map(textOf), ['HT-SHA-256-EXPR', 'HT-SHA-256-ENDP', 'HT-SHA-256-NONE']);
});

transcript('XEP-0388 §3: nothing of it is offered or taken before TLS', { config: { c2s: { isTlsRequired: true } } }, async (cast) => {
  const client = await cast.raw();
  const features = await client.beginsStream();
  assert.deepEqual(
    childElements(features).map(({ name }) => name),
    ['starttls'],
  );
  await client.sends(withPassword(cast));
  await client.receives(failure('encryption-required'));
});

transcript('XEP-0484 §3.1: tokens can be switched off', { config: { accounts: { tokenLifetimeMs: 0 } } }, async (cast) => {
  const client = await cast.raw();
  const inline = childOf(childOf(await client.beginsStream(), 'authentication', SASL2)!, 'inline', SASL2)!;
  assert.equal(childOf(inline, 'fast', FAST), undefined);
  await client.sends(authenticate('HT-SHA-256-NONE', `romeo\0${'x'.repeat(32)}`, userAgent(), `<fast xmlns='${FAST}'/>`));
  await client.receives(failure('invalid-mechanism'));
});

transcript('XEP-0388 §2.1: a stream cannot be of another domain than its account', ONLY_OURS, async (cast) => {
  const client = await cast.raw();
  await client.opensStream({ from: 'romeo@montague.example' });
  await client.isClosedWith('invalid-from');
});

// The exchange

transcript('XEP-0388 §2.6.1: success, and features at once: the stream is not restarted', ONLY_OURS, async (cast) => {
  const client = await opened(cast);
  await client.sends(withPassword(cast));
  const { success, features } = await succeeds(client);
  assert.equal(jidIn(success), cast.romeo.bare);
  assert.equal(childOf(success, 'additional-data', SASL2), undefined);
  assert.ok(childOf(features, 'bind', 'urn:ietf:params:xml:ns:xmpp-bind'));
  assert.equal(childOf(features, 'authentication', SASL2), undefined);
  assert.equal(await client.binds('old'), `${cast.romeo.bare}/old`); // in the old way
});

for (const mechanism of ['SCRAM-SHA-1', 'SCRAM-SHA-256', 'SCRAM-SHA-512-PLUS'] as const) {
  transcript(
    `XEP-0388 §2.5, XEP-0474, XEP-0515: ${mechanism}, with what was offered and the TLS version under the password`,
    ONLY_OURS,
    async (cast) => {
      const isPlus = mechanism.endsWith('-PLUS');
      const facts = makeTlsFacts();
      if (isPlus) cast.memory.connectionOptions = { tls: facts };
      const client = await opened(cast);
      const scram = new ScramClient({
        mechanism,
        username: cast.localOf('romeo'),
        password: cast.passwordOf('romeo'),
        ...(isPlus ? { channelBinding: { type: 'tls-exporter', data: facts.tlsExporter()! } } : {}),
      });
      await client.sends(authenticate(mechanism, scram.first()));
      const challenge = Buffer.from(textOf(await client.receives(`<challenge xmlns='${SASL2}'>{any}</challenge>`)), 'base64');
      const fields = challenge.toString().split(',');
      assert.match(fields[3]!, /^h=/);
      assert.equal(fields[4], isPlus ? 't=0304' : undefined);
      await client.sends(`<response xmlns='${SASL2}'>${base64(scram.final(challenge))}</response>`);
      const { success } = await succeeds(client);
      assert.ok(
        scram.isServerProved(Buffer.from(textOf(childOf(success, 'additional-data', SASL2)!), 'base64')),
        'the server proves itself',
      );
    },
  );
}

transcript(
  'XEP-0388 §2.6.2: after a failure the stream is as it was, and nothing that was asked for has happened',
  ONLY_OURS,
  async (cast) => {
    const client = await opened(cast);
    const wrong = `\0${cast.localOf('romeo')}\0wrong password`;
    await client.sends(authenticate('PLAIN', wrong, userAgent(), bind(tag('x'), enableSm())));
    await client.receives(failure('not-authorized'));
    assert.equal(((await cast.memory.ask('romeo', { kind: 'get_status' })) as { sessions: unknown[] }).sessions.length, 0);
    await client.sends(withPassword(cast));
    await succeeds(client);
  },
);

transcript('XEP-0388 §2.3: what is wrong with a request is said', ONLY_OURS, async (cast) => {
  const right = base64(`\0${cast.localOf('romeo')}\0${cast.passwordOf('romeo')}`);
  for (const [request, condition] of [
    [`<authenticate xmlns='${SASL2}'/>`, 'invalid-mechanism'],
    [authenticate('SCRAM-SHA-256-PLUS', 'x'), 'invalid-mechanism'],
    [authenticate('HT-SHA-256-EXPR', 'x', `<fast xmlns='${FAST}'/>`), 'invalid-mechanism'],
    [`<authenticate xmlns='${SASL2}' mechanism='PLAIN'><initial-response>!!!</initial-response></authenticate>`, 'incorrect-encoding'],
    [`<authenticate xmlns='${SASL2}' mechanism='PLAIN'><initial-response>=</initial-response></authenticate>`, 'incorrect-encoding'],
    [
      `<authenticate xmlns='${SASL2}' mechanism='PLAIN'><initial-response>${'A'.repeat(8_000)}</initial-response></authenticate>`,
      'incorrect-encoding',
    ],
    [`<authenticate xmlns='${SASL2}' mechanism='PLAIN'><initial-response/></authenticate>`, 'malformed-request'],
    [
      `<authenticate xmlns='${SASL2}' mechanism='PLAIN'><initial-response>${right}</initial-response><user-agent id='me'/></authenticate>`,
      'malformed-request',
    ],
    [`<abort xmlns='${SASL2}'/>`, 'aborted'],
  ] as const) {
    const client = await opened(cast);
    await client.sends(request);
    await client.receives(failure(condition));
  }
});

transcript(
  'XEP-0388 §2.2: white space around the data is no part of it; without an initial response there is a round more',
  ONLY_OURS,
  async (cast) => {
    const right = base64(`\0${cast.localOf('romeo')}\0${cast.passwordOf('romeo')}`);
    const client = await opened(cast);
    await client.sends(authenticate('PLAIN', undefined));
    await client.receives(`<challenge xmlns='${SASL2}'/>`);
    await client.sends(`<response xmlns='${SASL2}'>\n  ${right}\n</response>`);
    await succeeds(client);
  },
);

transcript('XEP-0388 §2.3: the stream is of whom the client says it is, or the login fails', ONLY_OURS, async (cast) => {
  const client = await opened(cast, { from: `juliet@${cast.domain}` });
  await client.sends(withPassword(cast));
  await client.receives(failure('invalid-authzid'));
  const other = await opened(cast, { from: cast.romeo.bare });
  await other.sends(withPassword(cast));
  await succeeds(other);
});

transcript('XEP-0388 §2.4, §4.7: who gives up in the middle may begin anew', ONLY_OURS, async (cast) => {
  const client = await opened(cast);
  await client.sends(authenticate('SCRAM-SHA-256', `n,,n=${cast.localOf('romeo')},r=abc`));
  await client.receives(`<challenge xmlns='${SASL2}'>{any}</challenge>`);
  await client.sends(`<abort xmlns='${SASL2}'><text>not now</text></abort>`);
  await client.receives(failure('aborted'));
  await client.sends(withPassword(cast));
  await succeeds(client);
});

transcript('XEP-0388 §2.4: anything else in the middle ends the stream', ONLY_OURS, async (cast) => {
  for (const element of [withPassword(cast), `<next xmlns='${SASL2}' task='UPGR-SCRAM-SHA-512'/>`, `<task-data xmlns='${SASL2}'/>`]) {
    const client = await opened(cast);
    await client.sends(authenticate('SCRAM-SHA-256', `n,,n=${cast.localOf('romeo')},r=abc`));
    await client.receives(`<challenge xmlns='${SASL2}'>{any}</challenge>`);
    await client.sends(element);
    await client.isClosedWith('policy-violation');
  }
});

transcript('XEP-0388 §4.11: a second login after the first is an error of the stream', ONLY_OURS, async (cast) => {
  for (const wish of ['', bind()]) {
    const client = await opened(cast);
    await client.sends(withPassword(cast, wish));
    await succeeds(client);
    await client.sends(withPassword(cast));
    await client.isClosedWith('policy-violation');
  }
});

transcript('XEP-0175: anybody, with a session', { config: { accounts: { anonymousHosts: ['capulet.lit'] } } }, async (cast) => {
  const client = await cast.raw();
  await client.beginsStream();
  await client.sends(
    authenticate('ANONYMOUS', undefined, userAgent(), bind(enableSm()), `<request-token xmlns='${FAST}' mechanism='HT-SHA-256-NONE'/>`),
  );
  await client.receives(`<challenge xmlns='${SASL2}'/>`);
  await client.sends(`<response xmlns='${SASL2}'/>`);
  const { success } = await succeeds(client);
  assert.match(jidIn(success), /^[0-9a-f-]{36}@capulet\.lit\/[\w-]+$/);
  assert.equal(childOf(success, 'token', FAST), undefined);
  await client.sends(`<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>`);
  await client.receives(`<iq type='result' id='p'/>`);
});

// Bind 2

transcript(
  'XEP-0386 §3.2: a session at once, with a resource that begins with the tag and is the same each time',
  ONLY_OURS,
  async (cast) => {
    const resources: string[] = [];
    for (const id of [undefined, undefined, OTHER_CLIENT_ID]) {
      const client = await opened(cast);
      await client.sends(withPassword(cast, userAgent(id), bind(tag('AwesomeXMPP'))));
      const { success, features } = await succeeds(client);
      const resource = jidIn(success).slice(cast.romeo.bare.length + 1);
      assert.match(resource, /^AwesomeXMPP\/[\w-]{12}$/);
      resources.push(resource);
      assert.ok(childOf(success, 'bound', BIND2));
      assert.equal(childOf(features, 'bind', 'urn:ietf:params:xml:ns:xmpp-bind'), undefined);
      await client.sends(`<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>`);
      await client.receives(`<iq type='result' id='p' to='${jidIn(success)}'/>`);
      await client.endsStream();
    }
    assert.equal(resources[0], resources[1]);
    assert.notEqual(resources[0], resources[2]);
  },
);

transcript(
  'XEP-0386 §3.2.1: a tag that no resource can have is left out; without a client id the rest is random',
  ONLY_OURS,
  async (cast) => {
    const resources = new Set<string>();
    for (const text of ['', 'x'.repeat(1_020), '&#x202e;', undefined]) {
      const client = await opened(cast);
      await client.sends(withPassword(cast, bind(text === undefined ? '' : tag(text))));
      const resource = jidIn((await succeeds(client)).success).slice(cast.romeo.bare.length + 1);
      assert.match(resource, /^[\w-]{20,}$/);
      resources.add(resource);
    }
    assert.equal(resources.size, 4);
  },
);

transcript('XEP-0386 §3.2: earlier sessions of the same client end, others stay', ONLY_OURS, async (cast) => {
  const { phone } = cast;
  await phone.sync();
  const old = await opened(cast);
  await old.sends(withPassword(cast, userAgent(), bind(tag('a'), enableSm())));
  await succeeds(old);
  const other = await opened(cast);
  await other.sends(withPassword(cast, userAgent(OTHER_CLIENT_ID), bind(tag('a'))));
  await succeeds(other);
  const renewed = await opened(cast);
  await renewed.sends(withPassword(cast, userAgent(), bind(tag('b'))));
  await succeeds(renewed);
  await old.isClosedWith('conflict');
  await other.sends(`<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>`);
  await other.receives(`<iq type='result' id='p'/>`);
  await phone.receivesNothing();
});

transcript('XEP-0386 §3.2, XEP-0313 §5: what the archive holds is told with the session', ONLY_OURS, async (cast) => {
  const { juliet } = cast;
  const empty = await opened(cast);
  await empty.sends(withPassword(cast, userAgent(), bind()));
  const none = childOf(childOf((await succeeds(empty)).success, 'bound', BIND2)!, 'metadata', 'urn:xmpp:mam:2')!;
  assert.equal(none.children.length, 0);
  for (const body of ['one', 'two']) await juliet.sends(`<message type='chat' to='${cast.romeo.bare}'><body>${body}</body></message>`);
  await juliet.sync();
  const client = await opened(cast);
  await client.sends(withPassword(cast, userAgent(), bind()));
  const metadata = childOf(childOf((await succeeds(client)).success, 'bound', BIND2)!, 'metadata', 'urn:xmpp:mam:2')!;
  const [start, end] = [childOf(metadata, 'start')!, childOf(metadata, 'end')!];
  assert.notEqual(start.attrs['id'], end.attrs['id']);
  await client.sends(`<iq type='get' id='m'><metadata xmlns='urn:xmpp:mam:2'/></iq>`);
  await client.receives(
    `<iq type='result' id='m'><metadata xmlns='urn:xmpp:mam:2'>
       <start id='${start.attrs['id']}' timestamp='{stamp}'/><end id='${end.attrs['id']}' timestamp='{stamp}'/>
     </metadata></iq>`,
  );
});

transcript('XEP-0386 §3.2: what waited and is in the archive is not sent; what is not in it, is', ONLY_OURS, async (cast) => {
  const { juliet } = cast;
  const first = await opened(cast);
  await first.sends(withPassword(cast, userAgent(), bind()));
  await succeeds(first);
  await first.endsStream();
  const chat = (body: string, hint = ''): string =>
    `<message type='chat' id='${body}' to='${cast.romeo.bare}'><body>${body}</body>${hint}</message>`;
  await juliet.sends(chat('archived'));
  await juliet.sends(chat('unarchived', `<no-permanent-store xmlns='urn:xmpp:hints'/>`));
  await juliet.sync();
  const client = await opened(cast);
  await client.sends(withPassword(cast, userAgent(), bind()));
  const jid = jidIn((await succeeds(client)).success);
  await client.sends('<presence/>');
  await client.receives(`<presence from='${jid}'/>`);
  await client.receives(
    `<message type='chat' id='unarchived' match:rest='ignore'><body>unarchived</body><no-permanent-store xmlns='urn:xmpp:hints'/></message>`,
  );
  await client.endsStream();
  // Neither waits for anybody else any more.
  const { phone } = cast;
  await phone.becomesAvailable();
  await phone.receivesNothing();
});

transcript('XEP-0280, XEP-0352: carbons are on, and the session begins inactive', ONLY_OURS, async (cast) => {
  const { juliet, phone } = cast;
  await phone.becomesAvailable();
  const client = await opened(cast);
  await client.sends(
    withPassword(cast, userAgent(), bind(`<enable xmlns='${CARBONS}'/>`, `<inactive xmlns='${CSI}'/>`, `<x xmlns='urn:example:unknown'/>`)),
  );
  const { success } = await succeeds(client);
  const bound = childOf(success, 'bound', BIND2)!;
  assert.deepEqual(
    childElements(bound).map(({ name }) => name),
    ['metadata'],
  );
  await juliet.sends(`<message type='chat' id='m1' to='${phone.full}'><body>Wherefore?</body></message>`);
  await phone.receives(`<message type='chat' id='m1' match:rest='ignore'><body>Wherefore?</body></message>`);
  await client.receives(`<message type='chat' match:rest='ignore'><received xmlns='${CARBONS}'>{any}</received></message>`);
  await juliet.sends(`<presence to='${jidIn(success)}'/>`);
  await juliet.sync();
  assert.deepEqual(client.pending, []); // it waits
  await client.sends(`<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>`);
  await client.receives(`<presence from='${juliet.full}'/>`);
  await client.receives(`<iq type='result' id='p'/>`);
});

transcript('XEP-0352 §4.2: a session that begins active is told at once', ONLY_OURS, async (cast) => {
  const client = await opened(cast);
  await client.sends(withPassword(cast, bind(`<active xmlns='${CSI}'/>`)));
  const { success } = await succeeds(client);
  await cast.juliet.sends(`<presence to='${jidIn(success)}'/>`);
  await client.receives(`<presence from='${cast.juliet.full}'/>`);
});

transcript(
  'XEP-0386: a session that cannot be is no reason not to let the client in',
  { config: { limits: { sessionsPerAccount: 1 } } },
  async (cast) => {
    const { phone } = cast;
    await phone.sync();
    const client = await opened(cast);
    await client.sends(withPassword(cast, bind()));
    const { success, features } = await succeeds(client);
    assert.equal(jidIn(success), cast.romeo.bare);
    assert.ok(childOf(childOf(success, 'failed', BIND2)!, 'resource-constraint', STANZAS));
    assert.ok(childOf(features, 'bind', 'urn:ietf:params:xml:ns:xmpp-bind'));
    await phone.disconnects();
    assert.equal(await client.binds('x'), `${cast.romeo.bare}/x`);
  },
);

// Stream management

transcript('XEP-0198 §6.1: on with the session', ONLY_OURS, async (cast) => {
  const client = await opened(cast);
  await client.sends(withPassword(cast, userAgent(), bind(enableSm(`resume='true' max='60'`))));
  const { success } = await succeeds(client);
  const enabled = childOf(childOf(success, 'bound', BIND2)!, 'enabled', SM)!;
  assert.deepEqual([enabled.attrs['resume'], enabled.attrs['max']], ['true', '60']);
  await client.sends(`<presence/><r xmlns='${SM}'/>`);
  await client.receivesInAnyOrder(`<presence from='${jidIn(success)}'/>`, `<a xmlns='${SM}' h='1'/>`);
  await client.sends(enableSm());
  await client.receives(`<failed xmlns='${SM}'><unexpected-request xmlns='${STANZAS}'/></failed>`);
});

transcript('XEP-0198 §3: asked for in a way that means nothing, it is off; the session is there', ONLY_OURS, async (cast) => {
  const client = await opened(cast);
  await client.sends(withPassword(cast, bind(enableSm(`resume='perhaps'`))));
  const { success } = await succeeds(client);
  assert.ok(childOf(childOf(childOf(success, 'bound', BIND2)!, 'failed', SM)!, 'bad-request', STANZAS));
  await client.sends(enableSm());
  await client.receives(`<enabled xmlns='${SM}' id='{any}' resume='true' max='{any}'/>`);
});

transcript(
  'XEP-0198 §3, §6: what came with the login is not offered again, for clients take up what is offered',
  ONLY_OURS,
  async (cast) => {
    const isOffered = async (...wishes: readonly string[]): Promise<{ readonly sm: boolean; readonly success: XmlElement }> => {
      const client = await opened(cast);
      await client.sends(withPassword(cast, userAgent(), ...wishes));
      const { success, features } = await succeeds(client);
      assert.equal(childOf(features, 'bind', 'urn:ietf:params:xml:ns:xmpp-bind') !== undefined, wishes.length === 0);
      await client.drops();
      return { sm: childOf(features, 'sm', SM) !== undefined, success };
    };
    assert.equal((await isOffered()).sm, true);
    assert.equal((await isOffered(bind())).sm, true);
    assert.equal((await isOffered(bind(enableSm(`resume='perhaps'`)))).sm, true);
    assert.equal((await isOffered(bind(enableSm(`resume='false'`)))).sm, false);
    const enabled = await isOffered(bind(enableSm()));
    assert.equal(enabled.sm, false);
    const previd = childOf(childOf(enabled.success, 'bound', BIND2)!, 'enabled', SM)!.attrs['id']!;
    const resumed = await isOffered(`<resume xmlns='${SM}' previd='${previd}' h='0'/>`);
    assert.equal(childOf(resumed.success, 'resumed', SM)!.attrs['previd'], previd);
    assert.equal(resumed.sm, false);
  },
);

transcript('XEP-0198 §6.2: a session is taken up with the login; nothing is bound then', ONLY_OURS, async (cast) => {
  const { juliet } = cast;
  const first = await opened(cast);
  await first.sends(withPassword(cast, userAgent(), bind(tag('a'), enableSm())));
  const { success } = await succeeds(first);
  const jid = jidIn(success);
  const previd = childOf(childOf(success, 'bound', BIND2)!, 'enabled', SM)!.attrs['id']!;
  await first.drops();
  await juliet.sends(`<message type='chat' id='m1' to='${jid}'><body>Wherefore?</body></message>`);
  await juliet.sync();
  const second = await opened(cast);
  await second.sends(withPassword(cast, userAgent(), `<resume xmlns='${SM}' previd='${previd}' h='0'/>`, bind(tag('b'))));
  const again = (await succeeds(second)).success;
  assert.equal(jidIn(again), jid);
  assert.deepEqual(childOf(again, 'resumed', SM)!.attrs, { previd, h: '0' });
  assert.equal(childOf(again, 'bound', BIND2), undefined);
  await second.receives(`<message type='chat' id='m1' match:rest='ignore'><body>Wherefore?</body></message>`);
});

transcript('XEP-0198 §6.2: what cannot be taken up is said, and a session is bound instead', ONLY_OURS, async (cast) => {
  for (const [resume, condition] of [
    [`<resume xmlns='${SM}' previd='nothing' h='0'/>`, 'item-not-found'],
    [`<resume xmlns='${SM}' h='0'/>`, 'bad-request'],
    [`<resume xmlns='${SM}' previd='x' h='-1'/>`, 'bad-request'],
  ] as const) {
    const client = await opened(cast);
    await client.sends(withPassword(cast, userAgent(), resume, bind(tag('b'))));
    const { success } = await succeeds(client);
    assert.ok(childOf(childOf(success, 'failed', SM)!, condition, STANZAS));
    assert.ok(childOf(success, 'bound', BIND2));
    const unbound = await opened(cast);
    await unbound.sends(withPassword(cast, resume));
    const { success: bare, features } = await succeeds(unbound);
    assert.ok(childOf(childOf(bare, 'failed', SM)!, condition, STANZAS));
    assert.ok(childOf(features, 'bind', 'urn:ietf:params:xml:ns:xmpp-bind'));
  }
});

transcript('XEP-0198 §4: who claims to have got more than there was is sent away, and has no session', ONLY_OURS, async (cast) => {
  const first = await opened(cast);
  await first.sends(withPassword(cast, userAgent(), bind(enableSm())));
  const previd = childOf(childOf((await succeeds(first)).success, 'bound', BIND2)!, 'enabled', SM)!.attrs['id']!;
  await first.drops();
  const second = await opened(cast);
  await second.sends(withPassword(cast, userAgent(), `<resume xmlns='${SM}' previd='${previd}' h='7'/>`, bind()));
  await second.takes('a stream error', ({ name, ns }) => name === 'error' && ns === STREAMS);
  await second.isClosed();
  const { sessions } = (await cast.memory.ask('romeo', { kind: 'get_status' })) as { sessions: readonly unknown[] };
  assert.equal(sessions.length, 1); // it waits for one who knows better
});

// All at once

transcript('What a client sends ahead is read when the state is there that it was meant for', ONLY_OURS, async (cast) => {
  cast.offline('romeo');
  await cast.ready();
  const client = await cast.raw();
  const header = `<stream:stream to='${cast.domain}' version='1.0' xmlns='jabber:client' xmlns:stream='${STREAMS}'>`;
  const ping = `<iq type='get' id='p1' to='${cast.domain}'><ping xmlns='urn:xmpp:ping'/></iq>`;
  client.write(header + withPassword(cast, userAgent(), bind(tag('a'), enableSm())) + ping + `<r xmlns='${SM}'/>`);
  await client.receivesStream();
  await client.receivesFeatures();
  await succeeds(client);
  await client.receivesInAnyOrder(`<iq type='result' id='p1'/>`, `<a xmlns='${SM}' h='1'/>`);
});

transcript('Ahead of a login that fails, it ends the stream', ONLY_OURS, async (cast) => {
  const client = await opened(cast);
  client.write(authenticate('PLAIN', `\0${cast.localOf('romeo')}\0wrong password`, bind()) + '<presence/>');
  await client.receives(failure('not-authorized'));
  await client.isClosedWith('not-authorized');
});
