import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Message, ReplyTo } from '../../src/kernel/actor.ts';
import { doing, kinds, makeKernel, note, numbers, recorder, settle, TestBarrier } from './fixture.ts';
import type { Note, RecorderArgs } from './fixture.ts';

const question = (replyTo: ReplyTo): Note => note(1, { replyTo });
const answerer = {
  onEvent: (event: Message, turn: { reply(to: ReplyTo, value: unknown): void }) => {
    const { replyTo, n } = event as Note;
    if (replyTo !== undefined) turn.reply(replyTo, n * 2);
  },
};

test('the answer comes as a reply event under the name of the question', () => {
  const { record, turn, kernel } = makeKernel();
  const target = record(answerer as never);
  const { ref, log } = record();
  turn(ref, (t) => t.ask('q', target.ref, 1000, question));
  assert.deepEqual(log.seen, [{ kind: 'reply', name: 'q', ok: true, value: 2 }]);
  const { asks, openAsks, timers } = kernel.inspect();
  assert.deepEqual({ asks, openAsks, timers }, { asks: 0, openAsks: 0, timers: 0 });
});

test('an answer may come in a later turn, and from another actor', () => {
  const { record, turn, kernel } = makeKernel();
  const other = record();
  const target = record();
  const { ref, log } = record();
  turn(ref, (t) => t.ask('q', target.ref, 1000, question));
  assert.equal(kernel.inspect().openAsks, 1);
  const { replyTo } = target.log.seen[0] as Note;
  turn(other.ref, (t) => t.reply(replyTo!, 'from another'));
  assert.deepEqual(log.seen, [{ kind: 'reply', name: 'q', ok: true, value: 'from another' }]);
  turn(target.ref, (t) => t.reply(replyTo!, 'too late'));
  assert.equal(log.seen.length, 1);
  assert.equal(kernel.inspect().openAsks, 0);
});

test('without an answer it fails with timeout; an answer after that is dropped', () => {
  const { record, turn, clock } = makeKernel();
  const target = record();
  const { ref, log } = record();
  turn(ref, (t) => t.ask('q', target.ref, 100, question));
  clock.advance(99);
  assert.deepEqual(log.seen, []);
  clock.advance(1);
  assert.deepEqual(log.seen, [{ kind: 'reply', name: 'q', ok: false, failure: 'timeout' }]);
  turn(target.ref, (t) => t.reply((target.log.seen[0] as Note).replyTo!, 1));
  assert.equal(log.seen.length, 1);
});

test('asking nobody fails at once with no_actor', () => {
  const { record, turn, kernel, run } = makeKernel();
  const target = record();
  kernel.stop(target.ref);
  run();
  const { ref, log } = record();
  turn(ref, (t) => t.ask('q', target.ref, 1000, question));
  assert.deepEqual(log.seen, [{ kind: 'reply', name: 'q', ok: false, failure: 'no_actor' }]);
});

test('asking an actor whose mailbox is full fails at once with mailbox_full', () => {
  const { record, turn, kernel } = makeKernel();
  const target = record({}, { mailbox: { maxMessages: 0, maxBytes: 0 } });
  const { ref, log } = record();
  turn(ref, (t) => t.ask('q', target.ref, 1000, question));
  assert.deepEqual(log.seen, [{ kind: 'reply', name: 'q', ok: false, failure: 'mailbox_full' }]);
  assert.equal(kernel.inspect().asks, 0);
});

test('an actor that crashes over a question fails it with crashed', () => {
  const { record, turn } = makeKernel();
  const target = record({
    onEvent: () => {
      throw new Error('on purpose');
    },
  });
  const { ref, log } = record();
  turn(ref, (t) => t.ask('q', target.ref, 1000, question));
  assert.deepEqual(log.seen, [{ kind: 'reply', name: 'q', ok: false, failure: 'crashed' }]);
});

test('an actor that crashes later, before it has answered, fails the question; one that waits in its mailbox is answered by the next life', () => {
  const { record, turn, kernel, run } = makeKernel();
  const target = record(
    {
      onEvent: (event, t, { lives }) => {
        const { replyTo } = event as Note;
        if (lives > 1 && replyTo !== undefined) t.reply(replyTo, 'next life');
      },
    },
    {},
  );
  const { ref, log } = record();
  turn(ref, (t) => t.ask('taken', target.ref, 1000, question));
  kernel.send(
    target.ref,
    doing(() => {
      throw new Error('on purpose');
    }),
  );
  kernel.send(
    ref,
    doing((t) => t.ask('queued', target.ref, 1000, question)),
  );
  run();
  assert.deepEqual(log.seen, [
    { kind: 'reply', name: 'taken', ok: false, failure: 'crashed' },
    { kind: 'reply', name: 'queued', ok: true, value: 'next life' },
  ]);
});

test('an actor that ends without answering fails its questions: asked, postponed and queued ones', () => {
  const { record, turn, kernel, run } = makeKernel();
  const target = record({ onEvent: (_event, t, { seen }) => (seen.length === 1 ? t.postpone() : undefined) });
  const { ref, log } = record();
  turn(ref, (t) => {
    t.ask('asked', target.ref, 1000, question);
    t.ask('postponed', target.ref, 1000, question);
  });
  assert.equal(kernel.inspect().openAsks, 1);
  kernel.send(
    target.ref,
    doing((t) => t.stop('enough')),
  );
  kernel.send(
    ref,
    doing((t) => t.ask('queued', target.ref, 1000, question)),
  );
  run();
  assert.deepEqual(
    log.seen.map((event) => ({ ...event })).sort((a, b) => ((a as { name: string }).name < (b as { name: string }).name ? -1 : 1)),
    ['asked', 'postponed', 'queued'].map((name) => ({ kind: 'reply', name, ok: false, failure: 'no_actor' })),
  );
});

/** Answers 'held' behind `barrier`. */
function holdingAnswerer(barrier: TestBarrier): Partial<RecorderArgs> {
  return {
    onEvent: (event, t) => {
      t.hold(barrier);
      t.reply((event as Note).replyTo!, 'held');
    },
  };
}

test('an answer that is held survives the crash of a later turn; the question does not fail with it', () => {
  const { record, turn, kernel, run } = makeKernel();
  const barrier = new TestBarrier();
  const target = record(holdingAnswerer(barrier));
  const { ref, log } = record();
  turn(ref, (t) => t.ask('q', target.ref, 1000, question));
  kernel.crash(target.ref, new Error('drill'));
  run();
  assert.deepEqual(log.seen, []);
  barrier.settle();
  run();
  assert.deepEqual(log.seen, [{ kind: 'reply', name: 'q', ok: true, value: 'held' }]);
  assert.equal(kernel.inspect().asks, 0);
});

test('an answer that is held and dropped fails its question: by a failed barrier as crashed, by a kill as no_actor', () => {
  const { record, turn, kernel, run } = makeKernel();
  const barrier = new TestBarrier();
  const [crashing, killed] = [record(holdingAnswerer(barrier)), record(holdingAnswerer(barrier))];
  const { ref, log } = record();
  turn(ref, (t) => {
    t.ask('crashing', crashing.ref, 1000, question);
    t.ask('killed', killed.ref, 1000, question);
  });
  kernel.kill(killed.ref);
  run();
  assert.deepEqual(log.seen, [{ kind: 'reply', name: 'killed', ok: false, failure: 'no_actor' }]);
  barrier.settle(new Error('disk full'));
  run();
  assert.deepEqual(log.seen.slice(1), [{ kind: 'reply', name: 'crashing', ok: false, failure: 'crashed' }]);
});

test('a later turn answers behind a barrier: its crash fails the question, the crash of another one does not', () => {
  const { record, turn, kernel, run } = makeKernel();
  const barrier = new TestBarrier();
  const target = record();
  const { ref, log } = record();
  turn(ref, (t) => {
    t.ask('committed', target.ref, 1000, question);
    t.ask('thrown', target.ref, 1000, question);
  });
  const [committed, thrown] = target.log.seen as Note[];
  turn(target.ref, (t) => {
    t.hold(barrier);
    t.reply(committed!.replyTo!, 1);
  });
  assert.equal(kernel.inspect().openAsks, 1, 'what is answered is not open, whenever the answer leaves');
  turn(target.ref, (t) => {
    t.reply(thrown!.replyTo!, 2);
    throw new Error('on purpose');
  });
  assert.deepEqual(log.seen, [{ kind: 'reply', name: 'thrown', ok: false, failure: 'crashed' }]);
  barrier.settle();
  run();
  assert.deepEqual(log.seen.slice(1), [{ kind: 'reply', name: 'committed', ok: true, value: 1 }]);
});

test('a question of a life that is over is not asked when its barrier settles', () => {
  const { record, turn, kernel, run } = makeKernel();
  const barrier = new TestBarrier();
  const target = record();
  const { ref, log } = record();
  kernel.registerEntity({ kind: 'room', machine: recorder, args: () => ({ log: target.log }) });
  turn(ref, (t) => {
    t.hold(barrier);
    t.ask('q', target.ref, 1000, question);
    t.askTo('r', 'room', 'key', 1000, question);
    t.send(target.ref, note(7));
  });
  kernel.crash(ref, new Error('drill'));
  run();
  barrier.settle();
  run();
  assert.deepEqual(numbers(target.log.seen), [7]);
  assert.deepEqual(log.seen, []);
  const { asks, timers } = kernel.inspect();
  assert.deepEqual({ asks, timers }, { asks: 0, timers: 0 });
});

test('an answer that is held leaves with its turn, and closes the question', () => {
  const { record, turn, kernel, run } = makeKernel();
  const barrier = new TestBarrier();
  const target = record(holdingAnswerer(barrier));
  const { ref, log } = record();
  turn(ref, (t) => t.ask('q', target.ref, 1000, question));
  assert.deepEqual(log.seen, []);
  barrier.settle();
  run();
  assert.deepEqual(log.seen, [{ kind: 'reply', name: 'q', ok: true, value: 'held' }]);
  assert.equal(kernel.inspect().openAsks, 0);
});

test('at maxOpenAsks the oldest unanswered question is forgotten: it times out', () => {
  const { record, turn, kernel, run, clock } = makeKernel({ limits: { maxOpenAsks: 2 } });
  const target = record();
  const { ref, log } = record();
  turn(ref, (t) => {
    for (const name of ['a', 'b', 'c']) t.ask(name, target.ref, 1000, question);
  });
  assert.equal(kernel.inspect().openAsks, 2);
  kernel.kill(target.ref);
  run();
  assert.equal(log.seen.length, 2);
  clock.advance(1000);
  assert.deepEqual(log.seen.at(-1), { kind: 'reply', name: 'a', ok: false, failure: 'timeout' });
});

test('code outside of actors asks with a promise', async () => {
  const { record, kernel, run, clock } = makeKernel();
  const target = record(answerer as never);
  const answer = kernel.ask(target.ref, 100, question);
  run();
  assert.deepEqual(await answer, { ok: true, value: 2 });
  kernel.stop(target.ref);
  run();
  assert.deepEqual(await kernel.ask(target.ref, 100, question), { ok: false, failure: 'no_actor' });
  const silent = record();
  const late = kernel.ask(silent.ref, 100, question);
  clock.advance(100);
  assert.deepEqual(await late, { ok: false, failure: 'timeout' });
});

test('an ask against the declared order crashes the asker', async () => {
  const { record, turn, crashes } = makeKernel({ askOrder: ['c2s', 'account'] });
  const account = record({}, { name: 'account' });
  const c2s = record(answerer as never, { name: 'c2s' });
  const outsider = record({}, { name: 'tool' });
  turn(c2s.ref, (t) => t.ask('q', account.ref, 10, question));
  turn(outsider.ref, (t) => t.ask('q', c2s.ref, 10, question));
  assert.equal(crashes.length, 0);
  turn(account.ref, (t) => t.ask('q', c2s.ref, 10, question));
  assert.match(String(crashes[0]!.error), /account must not ask c2s/);
  await settle();
  assert.deepEqual(kinds(outsider.log.seen), ['reply']);
});
