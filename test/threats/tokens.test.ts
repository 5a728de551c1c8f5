/** Rows of the table of threats about what a client has in place of a password: tokens, and the ids of sessions it may come back to. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { makeTlsFacts } from '../../src/net/memory-pair.ts';
import { transcript } from '../harness/transcript.ts';
import { childOf } from '../harness/xml.ts';
import {
  authenticate,
  BIND2,
  failure,
  FAST,
  fetchesToken,
  ONLY_OURS,
  opened,
  OTHER_CLIENT_ID,
  requestToken,
  SM,
  succeeds,
  tokenIn,
  tries,
  userAgent,
  withPassword,
  withToken,
} from '../c2s/sasl2-client.ts';
import type { CastOfClients } from '../harness/cast.ts';

const isIn = (answer: unknown): boolean => typeof answer !== 'string';
const bindSm = `<bind xmlns='${BIND2}'><enable xmlns='${SM}' resume='true'/></bind>`;

// SASL2 / FAST in 0-RTT replay

transcript('SASL2 / FAST in 0-RTT replay: a login that was heard is not one, where its client counts', ONLY_OURS, async (cast) => {
  const token = await fetchesToken(cast);
  const heard = withToken(cast, { token, fast: `count='7'` }, userAgent());
  assert.ok(isIn(await tries(cast, heard)));
  for (const count of [7, 6, 1, 0])
    assert.equal(await tries(cast, withToken(cast, { token, fast: `count='${count}'` }, userAgent())), 'not-authorized');
  assert.ok(isIn(await tries(cast, withToken(cast, { token, fast: `count='8'` }, userAgent()))));
  assert.equal(await tries(cast, heard), 'not-authorized');
});

transcript(
  'SASL2 / FAST in 0-RTT replay: the count is kept over a restart, and begins anew with another token',
  ONLY_OURS,
  async (cast) => {
    const token = await fetchesToken(cast);
    const heard = withToken(cast, { token, fast: `count='7'` }, userAgent());
    const answer = await tries(cast, heard);
    const next = typeof answer === 'string' ? '' : tokenIn(answer);
    const again = await cast.restarted();
    assert.equal(await tries(again, heard), 'not-authorized');
    assert.ok(isIn(await tries(again, withToken(again, { token: next, fast: `count='1'` }, userAgent()))));
  },
);

transcript('SASL2 / FAST in 0-RTT replay: a token is its client’s, and its account’s', ONLY_OURS, async (cast) => {
  const token = await fetchesToken(cast);
  cast.offline('juliet');
  await cast.ready();
  assert.equal(await tries(cast, withToken(cast, { token }, userAgent(OTHER_CLIENT_ID))), 'not-authorized');
  assert.equal(await tries(cast, withToken(cast, { token })), 'not-authorized');
  assert.equal(await tries(cast, withToken(cast, { token, local: cast.localOf('juliet') }, userAgent())), 'not-authorized');
  const client = await opened(cast, { from: `juliet@${cast.domain}` });
  await client.sends(withToken(cast, { token }, userAgent()));
  await client.receives(failure('invalid-authzid'));
  assert.ok(isIn(await tries(cast, withToken(cast, { token }, userAgent()))));
});

transcript('SASL2 / FAST in 0-RTT replay: one of another connection is none, where the channel is bound', ONLY_OURS, async (cast) => {
  const mechanism = 'HT-SHA-256-EXPR';
  const one = makeTlsFacts({ tlsExporter: () => Buffer.alloc(32, 1) });
  const other = makeTlsFacts({ tlsExporter: () => Buffer.alloc(32, 2) });
  cast.memory.connectionOptions = { tls: one };
  const token = await fetchesToken(cast, mechanism);
  const heard = withToken(cast, { token, mechanism, binding: one.tlsExporter()! }, userAgent());
  cast.memory.connectionOptions = { tls: other };
  assert.equal(await tries(cast, heard), 'not-authorized');
  cast.memory.connectionOptions = { tls: one };
  assert.ok(isIn(await tries(cast, heard)));
});

transcript('SASL2 / FAST in 0-RTT replay: one-time rotation, each login brings another token', ONLY_OURS, async (cast) => {
  const seen = new Set([await fetchesToken(cast)]);
  for (let i = 0; i < 5; i++) {
    const answer = await tries(cast, withToken(cast, { token: [...seen].at(-1)! }, userAgent()));
    seen.add(typeof answer === 'string' ? answer : tokenIn(answer));
  }
  assert.equal(seen.size, 6);
  const first = [...seen][0]!;
  assert.equal(await tries(cast, withToken(cast, { token: first }, userAgent())), 'not-authorized');
});

// FAST/SM/invite tokens guessable

transcript(
  'FAST/SM/invite tokens guessable: guesses count as wrong passwords do',
  { config: { c2s: { maxLoginAttempts: 3 } } },
  async (cast) => {
    await fetchesToken(cast);
    const client = await opened(cast);
    for (let i = 0; i < 3; i++) {
      await client.sends(withToken(cast, { token: `guess ${i}` }, userAgent()));
      await client.receives(failure('not-authorized'));
    }
    await client.isClosedWith('policy-violation');
  },
);

transcript(
  'FAST/SM/invite tokens guessable: a client without a token, one that is unknown and an account that is not there look alike',
  ONLY_OURS,
  async (cast) => {
    const token = await fetchesToken(cast);
    const client = await opened(cast);
    await client.sends(withPassword(cast, userAgent(OTHER_CLIENT_ID)));
    await succeeds(client);
    for (const login of [
      withToken(cast, { token: 'x' }, userAgent()),
      withToken(cast, { token }, userAgent(OTHER_CLIENT_ID)),
      withToken(cast, { token }, userAgent('00000000-0000-4000-8000-000000000000')),
      withToken(cast, { token, local: 'nobody' }, userAgent()),
    ]) {
      const guesser = await opened(cast);
      await guesser.sends(login);
      await guesser.receives(`<failure xmlns='urn:xmpp:sasl:2'><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></failure>`);
    }
  },
);

test('FAST/SM/invite tokens guessable: nothing is made of Math.random', () => {
  const root = resolve(import.meta.dirname, '../../src');
  for (const file of globSync('**/*.ts', { cwd: root })) assert.ok(!readFileSync(join(root, file), 'utf8').includes('Math.random'), file);
});

// Mechanism not offered yet accepted

transcript('Mechanism not offered yet accepted: tokens go with the mechanisms that this stream has offered', ONLY_OURS, async (cast) => {
  const token = await fetchesToken(cast);
  for (const mechanism of ['HT-SHA-256-EXPR', 'HT-SHA-256-ENDP', 'HT-SHA-256-UNIQ', 'HT-SHA-512-NONE']) {
    assert.equal(await tries(cast, withToken(cast, { token, mechanism }, userAgent())), 'invalid-mechanism', mechanism);
  }
  assert.equal(await tries(cast, authenticate('ANONYMOUS', '')), 'invalid-mechanism');
  const client = await opened(cast);
  await client.sends(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='HT-SHA-256-NONE'>AAAA</auth>`); // the other profile has none of them
  await client.receives(
    `<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><invalid-mechanism/><text xml:lang='en' match:optional='true'>{any}</text></failure>`,
  );
});

transcript('Mechanism not offered yet accepted: the offer of a stream ends with its login', ONLY_OURS, async (cast) => {
  const token = await fetchesToken(cast);
  const client = await opened(cast);
  await client.sends(withToken(cast, { token }, userAgent()));
  const { success } = await succeeds(client);
  await client.sends(withToken(cast, { token: tokenIn(success) }, userAgent()));
  await client.isClosedWith('policy-violation');
});

// SM resumption hijack

/** Romeo's client with a session that waits. */
async function waiting(cast: CastOfClients, ...wishes: readonly string[]): Promise<string> {
  const client = await opened(cast);
  await client.sends(withPassword(cast, ...wishes, bindSm));
  const previd = childOf(childOf((await succeeds(client)).success, 'bound', BIND2)!, 'enabled', SM)!.attrs['id']!;
  assert.match(previd, /^[\w-]{32}$/); // 192 bits
  await client.drops();
  return previd;
}

const resume = (previd: string): string => `<resume xmlns='${SM}' previd='${previd}' h='0'/>`;

transcript('SM resumption hijack: a session of a client that says which one it is goes on with that one only', ONLY_OURS, async (cast) => {
  const previd = await waiting(cast, userAgent());
  for (const agent of [[userAgent(OTHER_CLIENT_ID)], []]) {
    const answer = await tries(cast, withPassword(cast, ...agent, resume(previd)));
    assert.ok(typeof answer !== 'string' && childOf(answer, 'failed', SM) !== undefined);
  }
  const old = await cast.raw();
  await old.logsIn({ local: cast.localOf('romeo'), password: cast.passwordOf('romeo') });
  await old.sends(resume(previd)); // RFC 6120's profile knows no clients
  await old.receives(`<failed xmlns='${SM}'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>`);
  const right = await tries(cast, withPassword(cast, userAgent(), resume(previd)));
  assert.ok(typeof right !== 'string' && childOf(right, 'resumed', SM) !== undefined);
});

transcript('SM resumption hijack: also after a restart', ONLY_OURS, async (cast) => {
  const previd = await waiting(cast, userAgent());
  const again = await cast.restarted();
  const wrong = await tries(again, withPassword(again, userAgent(OTHER_CLIENT_ID), resume(previd)));
  assert.ok(typeof wrong !== 'string' && childOf(wrong, 'failed', SM) !== undefined);
  const right = await tries(again, withPassword(again, userAgent(), resume(previd)));
  assert.ok(typeof right !== 'string' && childOf(right, 'resumed', SM) !== undefined);
});

transcript('SM resumption hijack: nor by another account, nor by a login that fails', ONLY_OURS, async (cast) => {
  const previd = await waiting(cast, userAgent());
  cast.offline('juliet');
  await cast.ready();
  const juliet = await tries(
    cast,
    authenticate('PLAIN', `\0${cast.localOf('juliet')}\0${cast.passwordOf('juliet')}`, userAgent(), resume(previd)),
  );
  assert.ok(typeof juliet !== 'string' && childOf(juliet, 'failed', SM) !== undefined);
  assert.equal(
    await tries(cast, authenticate('PLAIN', `\0${cast.localOf('romeo')}\0wrong`, userAgent(), resume(previd))),
    'not-authorized',
  );
  assert.equal(await tries(cast, withToken(cast, { token: 'guess' }, userAgent(), resume(previd))), 'not-authorized');
  const right = await tries(cast, withPassword(cast, userAgent(), resume(previd)));
  assert.ok(typeof right !== 'string' && childOf(right, 'resumed', SM) !== undefined);
});

transcript(
  'SM resumption hijack: a password that is changed ends what waits, and what clients had instead of it',
  ONLY_OURS,
  async (cast) => {
    const client = await opened(cast);
    await client.sends(withPassword(cast, userAgent(), requestToken(), bindSm));
    const { success } = await succeeds(client);
    const previd = childOf(childOf(success, 'bound', BIND2)!, 'enabled', SM)!.attrs['id']!;
    await client.drops();
    await cast.memory.ask('romeo', { kind: 'set_credentials', scram: [], closeSessions: true });
    assert.equal(await tries(cast, withToken(cast, { token: tokenIn(success) }, userAgent(), resume(previd))), 'not-authorized');
    const status = (await cast.memory.ask('romeo', { kind: 'get_status' })) as {
      sessions: readonly unknown[];
    };
    assert.equal(status.sessions.length, 0);
    assert.equal(childOf(success, 'token', FAST)?.attrs['token'], tokenIn(success));
  },
);
