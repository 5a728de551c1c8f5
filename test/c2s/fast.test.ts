/** XEP-0484: a token in place of the password. */
import assert from 'node:assert/strict';
import { makeTlsFacts } from '../../src/net/memory-pair.ts';
import { opaqueString } from '../../src/xmpp/precis.ts';
import { derive } from '../../src/pool.ts';
import { transcript } from '../harness/transcript.ts';
import { childOf, textOf } from '../harness/xml.ts';
import {
  BIND2,
  CLIENT_ID,
  failure,
  FAST,
  fetchesToken,
  jidIn,
  ONLY_OURS,
  opened,
  OTHER_CLIENT_ID,
  requestToken,
  responderOf,
  SASL2,
  SM,
  succeeds,
  tokenIn,
  tries,
  userAgent,
  withPassword,
  withToken,
} from './sasl2-client.ts';

const DAY_MS = 86_400_000;

transcript(
  'XEP-0484 §3.2 to §3.4: a token comes with a login, and is a login; each side proves that it has it',
  ONLY_OURS,
  async (cast) => {
    const token = await fetchesToken(cast);
    const client = await opened(cast, { from: cast.romeo.bare });
    await client.sends(withToken(cast, { token }, userAgent(), `<bind xmlns='${BIND2}'><tag>x</tag></bind>`));
    const { success } = await succeeds(client);
    assert.equal(textOf(childOf(success, 'additional-data', SASL2)!), responderOf(token));
    assert.match(jidIn(success), /^romeo@capulet\.lit\/x\//);
    assert.notEqual(tokenIn(success), token); // §3.5: the next one
  },
);

transcript('XEP-0484 §3.4: a session is taken up with a token, in one round trip', ONLY_OURS, async (cast) => {
  const first = await opened(cast);
  await first.sends(withPassword(cast, userAgent(), requestToken(), `<bind xmlns='${BIND2}'><enable xmlns='${SM}' resume='true'/></bind>`));
  const { success } = await succeeds(first);
  const previd = childOf(childOf(success, 'bound', BIND2)!, 'enabled', SM)!.attrs['id']!;
  await first.drops();
  const second = await opened(cast);
  await second.sends(withToken(cast, { token: tokenIn(success) }, userAgent(), `<resume xmlns='${SM}' previd='${previd}' h='0'/>`));
  const again = (await succeeds(second)).success;
  assert.equal(jidIn(again), jidIn(success));
  assert.ok(childOf(again, 'resumed', SM));
  assert.ok(tokenIn(again));
});

transcript(
  'XEP-0484 §3.2: no token without a wish, without a client id, or for a mechanism that is not offered',
  ONLY_OURS,
  async (cast) => {
    for (const wishes of [
      [userAgent()],
      [requestToken()],
      [userAgent(), requestToken('HT-SHA-256-ENDP')],
      [userAgent(), requestToken('PLAIN')],
    ]) {
      const client = await opened(cast);
      await client.sends(withPassword(cast, ...wishes));
      assert.equal(childOf((await succeeds(client)).success, 'token', FAST), undefined);
    }
  },
);

transcript('XEP-0484 §3.5: the old token is good until the new one is used, and no longer', ONLY_OURS, async (cast) => {
  const first = await fetchesToken(cast);
  const use = async (token: string): Promise<string> => {
    const answer = await tries(cast, withToken(cast, { token }, userAgent()));
    return typeof answer === 'string' ? answer : tokenIn(answer);
  };
  const second = await use(first);
  const third = await use(first); // the answer was lost
  assert.equal(await use(second), 'not-authorized'); // "the server SHOULD invalidate any tokens previously generated that have not been used"
  const fourth = await use(third);
  assert.equal(await use(first), 'not-authorized');
  assert.match(fourth, /^[\w-]{43}$/);
  assert.match(await use(third), /^[\w-]{43}$/);
});

transcript('XEP-0484 §3.5: a login with the password beside it leaves the token as it is', ONLY_OURS, async (cast) => {
  const token = await fetchesToken(cast);
  const client = await opened(cast);
  await client.sends(withPassword(cast, userAgent()));
  await succeeds(client);
  assert.notEqual(typeof (await tries(cast, withToken(cast, { token }, userAgent()))), 'string');
});

transcript('XEP-0484 §2.2: a token has an end, and that is what its client is told', ONLY_OURS, async (cast) => {
  const token = await fetchesToken(cast);
  await cast.advance(21 * DAY_MS - 1_000);
  const second = await tries(cast, withToken(cast, { token }, userAgent()));
  assert.notEqual(typeof second, 'string');
  await cast.advance(2_000);
  assert.equal(await tries(cast, withToken(cast, { token }, userAgent())), 'credentials-expired');
  assert.equal(await tries(cast, withToken(cast, { token: 'another one' }, userAgent())), 'not-authorized');
  assert.notEqual(
    typeof second === 'string' ? '' : typeof (await tries(cast, withToken(cast, { token: tokenIn(second) }, userAgent()))),
    'string',
  );
});

transcript('XEP-0484 §3.6: a client that logs out takes its token with it', ONLY_OURS, async (cast) => {
  const token = await fetchesToken(cast);
  const out = await tries(cast, withToken(cast, { token, fast: `invalidate='true'` }, userAgent()));
  assert.equal(typeof out === 'string' ? out : childOf(out, 'token', FAST), undefined);
  assert.equal(await tries(cast, withToken(cast, { token }, userAgent())), 'not-authorized');
});

transcript('XEP-0484 §3.6: unless it asks for another one', ONLY_OURS, async (cast) => {
  const token = await fetchesToken(cast);
  const answer = await tries(cast, withToken(cast, { token, fast: `invalidate='1'` }, userAgent(), requestToken()));
  assert.equal(await tries(cast, withToken(cast, { token }, userAgent())), 'not-authorized');
  const next = typeof answer === 'string' ? '' : tokenIn(answer);
  assert.notEqual(typeof (await tries(cast, withToken(cast, { token: next }, userAgent()))), 'string');
});

for (const mechanism of ['HT-SHA-256-EXPR', 'HT-SHA-256-ENDP'] as const) {
  transcript(`draft-schmaus-kitten-sasl-ht, RFC 5056: ${mechanism} is bound to its channel`, ONLY_OURS, async (cast) => {
    const facts = makeTlsFacts();
    cast.memory.connectionOptions = { tls: facts };
    const binding = mechanism === 'HT-SHA-256-EXPR' ? facts.tlsExporter()! : facts.tlsServerEndPoint()!;
    const token = await fetchesToken(cast, mechanism);
    assert.equal(await tries(cast, withToken(cast, { token, mechanism, binding: Buffer.alloc(32, 1) }, userAgent())), 'not-authorized');
    assert.equal(await tries(cast, withToken(cast, { token, mechanism }, userAgent())), 'not-authorized');
    const client = await opened(cast);
    await client.sends(withToken(cast, { token, mechanism, binding }, userAgent()));
    const { success } = await succeeds(client);
    assert.equal(textOf(childOf(success, 'additional-data', SASL2)!), responderOf(token, binding));
  });
}

transcript('XEP-0484 §3.4: a token is good for the mechanism it was asked for, and no other', ONLY_OURS, async (cast) => {
  const facts = makeTlsFacts();
  cast.memory.connectionOptions = { tls: facts };
  const token = await fetchesToken(cast, 'HT-SHA-256-EXPR');
  assert.equal(await tries(cast, withToken(cast, { token }, userAgent())), 'not-authorized');
  const endPoint = facts.tlsServerEndPoint()!;
  assert.equal(
    await tries(cast, withToken(cast, { token, mechanism: 'HT-SHA-256-ENDP', binding: endPoint }, userAgent())),
    'not-authorized',
  );
});

transcript('XEP-0484 §3.4: what is wrong with a request is said', ONLY_OURS, async (cast) => {
  const token = await fetchesToken(cast);
  for (const [login, condition] of [
    [withToken(cast, { token }).replace(/<fast [^>]*>/, ''), 'malformed-request'], // no <fast/>
    [withToken(cast, { token }), 'not-authorized'], // no client id
    [withToken(cast, { token, fast: `count='many'` }, userAgent()), 'malformed-request'],
    [withToken(cast, { token, fast: `invalidate='perhaps'` }, userAgent()), 'malformed-request'],
    [withToken(cast, { token, local: '' }, userAgent()), 'malformed-request'],
    [withPassword(cast, userAgent(), `<fast xmlns='${FAST}'/>`), 'malformed-request'],
    [withToken(cast, { token, mechanism: 'HT-SHA-512-NONE' }, userAgent()), 'invalid-mechanism'],
  ] as const) {
    const client = await opened(cast);
    await client.sends(login);
    await client.receives(failure(condition));
  }
});

transcript('XEP-0484: tokens outlive a restart of the server', ONLY_OURS, async (cast) => {
  const token = await fetchesToken(cast);
  const again = await cast.restarted();
  assert.notEqual(typeof (await tries(again, withToken(again, { token }, userAgent()))), 'string');
});

transcript('XEP-0484 §5.1: a token is void once the password is another one, also where that is the same', ONLY_OURS, async (cast) => {
  const token = await fetchesToken(cast);
  const scram = derive({ password: opaqueString(cast.passwordOf('romeo'))!, iterations: 1 });
  await cast.memory.ask('romeo', { kind: 'set_credentials', scram, closeSessions: true });
  assert.equal(await tries(cast, withToken(cast, { token }, userAgent())), 'not-authorized');
  const next = await fetchesToken(cast);
  assert.notEqual(typeof (await tries(cast, withToken(cast, { token: next }, userAgent()))), 'string');
});

transcript('XEP-0484: a disabled account lets nobody in', ONLY_OURS, async (cast) => {
  const token = await fetchesToken(cast);
  await cast.memory.ask('romeo', { kind: 'set_enabled', isEnabled: false });
  assert.equal(await tries(cast, withToken(cast, { token }, userAgent())), 'not-authorized');
});

transcript(
  'A client id is the same in whatever letters; what the store has of it and of its token lets nobody in',
  ONLY_OURS,
  async (cast) => {
    const token = await fetchesToken(cast, undefined, CLIENT_ID.toUpperCase());
    const { store } = cast.memory;
    const kept = JSON.stringify(
      await store.list(
        { name: 'client', version: 1, encode: () => Buffer.alloc(0), decode: (bytes) => Buffer.from(bytes).toString() },
        cast.romeo.bare,
      ),
    );
    assert.ok(!kept.includes(token) && !kept.toLowerCase().includes(CLIENT_ID));
    assert.ok(kept.includes('AwesomeXMPP'));
    assert.equal(await tries(cast, withToken(cast, { token }, userAgent(OTHER_CLIENT_ID))), 'not-authorized');
    assert.notEqual(typeof (await tries(cast, withToken(cast, { token }, userAgent()))), 'string');
  },
);
