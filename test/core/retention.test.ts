/** A host whose archive is switched off: its accounts' logs do all they do elsewhere, and keep nothing that nobody waits for. */
import assert from 'node:assert/strict';
import { loggedIn, managed, SM } from '../c2s/managed-client.ts';
import { LOG } from '../../src/log/entry.ts';
import { LOG_STATE, SEGMENT_ENTRIES, SEGMENTS } from '../../src/log/segment.ts';
import { LEFTOVERS } from '../../src/log/trim.ts';
import { sweepLogs } from '../../src/server/sweep.ts';
import type { CastOfClients } from '../harness/cast.ts';
import { transcript } from '../harness/transcript.ts';

const WITHOUT_ARCHIVE = { modules: { archive: 'off' }, config: { c2s: { idleMs: 0 } } } as const;
const HOUR_MS = 3_600_000;
const MAM = 'urn:xmpp:mam:2';
const UNAVAILABLE = `<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`;
const chat = (to: string, body: string | number): string => `<message type='chat' id='m${body}' to='${to}'><body>${body}</body></message>`;
const chatted = (body: string | number): string => `<message type='chat' id='m${body}'><body>${body}</body></message>`;

async function positions(cast: CastOfClients, bare: string): Promise<number[]> {
  return (await cast.memory.store.list(LOG, bare)).map(({ value }) => value.position);
}

/** @returns the accounts it has woken. */
async function sweep(cast: CastOfClients): Promise<string[]> {
  const { store, runtime, kernel, clock } = cast.memory;
  const woken: string[] = [];
  await sweepLogs({
    store,
    hostOf: (domain) => runtime.hosts.get(domain),
    wake: (bare) => {
      woken.push(bare);
      kernel.sendTo('account', bare, { kind: 'wake' });
    },
    nowMs: clock.now(),
  });
  await cast.advance(0);
  return woken;
}

transcript('without an archive a message has no id of it, and nobody answers queries', WITHOUT_ARCHIVE, async ({ romeo, juliet }) => {
  await juliet.becomesAvailable();
  await romeo.sends(chat(juliet.bare, 'one'));
  await juliet.receives(chatted('one'));
  await juliet.sends(`<iq type='set' id='q'><query xmlns='${MAM}'/></iq>`);
  await juliet.receives(`<iq type='error' id='q'>${UNAVAILABLE}</iq>`);
});

transcript(
  'without an archive messages wait for their recipient, whatever their age, also over a restart',
  WITHOUT_ARCHIVE,
  async (cast) => {
    const { bare } = cast.offline('juliet');
    for (const body of [1, 2, 3]) await cast.romeo.sends(chat(bare, body));
    await cast.romeo.receivesNothing();
    await cast.advance(48 * HOUR_MS);
    await sweep(cast);
    const later = await cast.restarted();
    const { juliet } = later;
    await juliet.becomesAvailable();
    for (const body of [1, 2, 3]) {
      await juliet.receives(
        `<message type='chat' id='m${body}'><body>${body}</body><delay xmlns='urn:xmpp:delay' from='${later.domain}' stamp='{stamp}'>{any}</delay></message>`,
      );
    }
    await juliet.receivesNothing();
  },
);

transcript('XEP-0198 §5: without an archive sessions are resumed, also after a restart', WITHOUT_ARCHIVE, async (cast) => {
  const { juliet } = cast;
  const romeo = await managed(cast);
  for (let i = 0; i < 4; i++) await juliet.sends(chat(romeo.full, i));
  await romeo.takes('the last', ({ attrs }) => attrs['id'] === 'm3');
  romeo.handled = 2; // its own presence, and one message
  await romeo.drops();
  await juliet.sends(chat(romeo.full, 4));
  await juliet.sync();
  await romeo.resumes(1);
  for (const body of [1, 2, 3]) await romeo.receives(chatted(body));
  await romeo.receives(
    chatted(4).replace('</message>', `<delay xmlns='urn:xmpp:delay' from='${cast.domain}' stamp='{stamp}'>{any}</delay></message>`),
  );
  await romeo.acks();
  await romeo.isAcked(1);
  await juliet.sends(chat(romeo.full, 5));
  await romeo.receives(chatted(5));
  const later = await cast.restarted();
  romeo.stream = await loggedIn(later, 'romeo');
  await romeo.sends(`<resume xmlns='${SM}' previd='${romeo.token}' h='${romeo.handled - 1}'/>`);
  await romeo.receives(`<resumed xmlns='${SM}' previd='${romeo.token}' h='1'/>`);
  await romeo.takes('the last', ({ attrs }) => attrs['id'] === 'm5');
  await later.leave();
});

transcript('without an archive a log loses what is older than an hour when a segment is full', WITHOUT_ARCHIVE, async (cast) => {
  const { romeo, juliet } = cast;
  await juliet.becomesAvailable();
  const segment = async (): Promise<void> => {
    for (let i = 0; i < SEGMENT_ENTRIES; i++) await romeo.writes(chat(juliet.bare, i));
    await romeo.sync();
    await juliet.collects();
  };
  await cast.advance(2 * HOUR_MS);
  await segment();
  await segment();
  assert.equal((await positions(cast, juliet.bare)).length, 2 * SEGMENT_ENTRIES);
  await cast.advance(2 * HOUR_MS);
  await segment();
  for (const { bare } of [romeo, juliet]) {
    const left = await positions(cast, bare);
    assert.deepEqual([left[0], left.length], [2 * SEGMENT_ENTRIES + 1, SEGMENT_ENTRIES], bare);
    assert.equal((await cast.memory.store.list(SEGMENTS, bare)).length, 1);
    assert.equal((await cast.memory.store.get(LOG_STATE, bare, []))!.first, 2 * SEGMENT_ENTRIES + 1);
  }
});

transcript('without an archive the accounts that nobody loads are looked through, too', WITHOUT_ARCHIVE, async (cast) => {
  const { romeo, juliet, nurse } = cast;
  await romeo.sends(chat(juliet.bare, 'waits'));
  await romeo.sync();
  for (const each of [romeo, juliet]) await each.disconnects();
  await cast.advance(2 * HOUR_MS);
  await nurse.sync();
  assert.deepEqual(await sweep(cast), [juliet.bare, romeo.bare]);
  assert.deepEqual(await positions(cast, romeo.bare), []);
  assert.deepEqual(await positions(cast, juliet.bare), [1]);
  assert.deepEqual(await sweep(cast), []);
  await juliet.connects();
  await juliet.becomesAvailable();
  assert.match(JSON.stringify(await juliet.collects()), /waits/);
  assert.deepEqual(await sweep(cast), [juliet.bare]);
  assert.deepEqual(await positions(cast, juliet.bare), []);
  assert.deepEqual(await cast.memory.store.list(LEFTOVERS, juliet.bare), []);
});
