import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Message, ReplyTo } from '../../src/kernel/actor.ts';
import type { Codec } from '../../src/kernel/wire.ts';
import { homeWorker } from '../../src/kernel/registry.ts';
import { Tally } from '../../src/kernel/tally.ts';
import { doing, kinds, makeKernel, makeLog, note, numbers, recorder, TestCluster } from './fixture.ts';
import type { Log, Note, TestKernel } from './fixture.ts';
import type { KernelLimits } from '../../src/kernel/limits.ts';

interface Line extends Message {
  readonly kind: 'line';
  readonly n: number;
  readonly text: string;
  readonly tags: readonly string[];
}

const lineCodec: Codec<Line> = {
  write({ n, text, tags }, out) {
    out.push(n, text, tags.length, ...tags);
  },
  read(input, cursor) {
    const n = input[cursor.at++] as number;
    const text = input[cursor.at++] as string;
    const count = input[cursor.at++] as number;
    const tags: string[] = [];
    for (let i = 0; i < count; i++) tags.push(input[cursor.at++] as string);
    return { kind: 'line', n, text, tags };
  },
};

interface Setup {
  readonly cluster: TestCluster;
  readonly logOf: (key: string) => Log;
}

function setup(workers = 2, limits: Partial<KernelLimits> = {}, onKernel: (kernel: TestKernel) => void = () => undefined): Setup {
  const logs = new Map<string, Log>();
  const logOf = (key: string): Log => {
    const log = logs.get(key) ?? makeLog();
    logs.set(key, log);
    return log;
  };
  const cluster = new TestCluster(workers, (worker, incarnation, clock) => {
    const made = makeKernel({ worker, workers, incarnation, clock, limits });
    made.kernel.registerEntity({ kind: 'room', machine: recorder, args: (key) => ({ log: logOf(key) }) });
    made.kernel.registerEntity({ kind: 'host', machine: recorder, home: 'local', args: (key) => ({ log: logOf(`${worker}/${key}`) }) });
    made.kernel.registerCodec('line', lineCodec);
    onKernel(made);
    return made;
  });
  return { cluster, logOf };
}

/** A key that lives on `worker` of two. */
function keyAt(worker: number, workers = 2): string {
  for (let i = 0; ; i++) if (homeWorker(`key${i}`, workers) === worker) return `key${i}`;
}

test('messages cross in order: with a codec, without one, by name, and from code outside', () => {
  const { cluster, logOf } = setup();
  const [here, there] = [cluster.at(0), cluster.at(1)];
  const receiver = there.record();
  const sender = here.record();
  const line: Line = { kind: 'line', n: 2, text: 'Wherefore? 🌹', tags: ['a', 'b'] };
  here.turn(sender.ref, (t) => {
    t.send(receiver.ref, note(1));
    t.send(receiver.ref, line);
    t.send(receiver.ref, note(3));
    t.sendTo('room', keyAt(1), line);
    t.sendTo('room', keyAt(1), note(4));
  });
  assert.ok(here.kernel.send(receiver.ref, note(5)));
  cluster.run();
  assert.deepEqual(receiver.log.seen, [note(1), line, note(3), note(5)]);
  assert.deepEqual(logOf(keyAt(1)).seen, [line, note(4)]);
  assert.equal(there.kernel.find('room', keyAt(1)) !== undefined, true);
  assert.equal(here.kernel.find('room', keyAt(1)), undefined);
});

test('entities live at their home, local ones where the sender is', () => {
  const { cluster, logOf } = setup();
  for (const worker of [0, 1]) {
    const { record, turn } = cluster.at(worker);
    turn(record().ref, (t) => {
      t.sendTo('host', 'h', note(worker));
      t.sendTo('room', 'r', note(worker));
    });
  }
  cluster.run();
  assert.deepEqual(numbers(logOf('0/h').seen), [0]);
  assert.deepEqual(numbers(logOf('1/h').seen), [1]);
  assert.deepEqual(numbers(logOf('r').seen).sort(), [0, 1]);
  assert.equal(logOf('r').lives, 1);
});

test('envelopes of one slice are one post', () => {
  const { cluster } = setup();
  const receiver = cluster.at(1).record();
  const sender = cluster.at(0).record();
  cluster.at(0).turn(sender.ref, (t) => {
    for (let n = 0; n < 100; n++) t.send(receiver.ref, note(n));
  });
  assert.equal(cluster.port(0, 1).posted, 1);
  cluster.run();
  assert.equal(numbers(receiver.log.seen).length, 100);
  assert.equal(cluster.at(0).kernel.inspect().bridges[0]!.postedEnvelopes, 100);
});

test('a batch that is large enough is posted within the slice', () => {
  const { cluster } = setup(2, { batchEnvelopes: 10 });
  const receiver = cluster.at(1).record();
  const sender = cluster.at(0).record();
  cluster.at(0).turn(sender.ref, (t) => {
    for (let n = 0; n < 25; n++) t.send(receiver.ref, note(n));
  });
  assert.equal(cluster.port(0, 1).posted, 3);
  cluster.run();
  assert.deepEqual(
    numbers(receiver.log.seen),
    Array.from({ length: 25 }, (_, n) => n),
  );
});

test('a bounce crosses back, whatever it bounced from', () => {
  const { cluster } = setup();
  const [here, there] = [cluster.at(0), cluster.at(1)];
  const sender = here.record();
  const full = there.record({}, { mailbox: { maxMessages: 1, maxBytes: 1e6 } });
  const gone = there.record();
  there.kernel.kill(gone.ref);
  cluster.run();
  const line: Line = { kind: 'line', n: 1, text: 't', tags: [] };
  here.turn(sender.ref, (t) => {
    t.send(gone.ref, line);
    t.send(full.ref, note(1));
    t.send(full.ref, note(2));
  });
  cluster.run();
  assert.deepEqual(sender.log.seen, [
    { kind: 'bounced', message: line, reason: 'no_actor' },
    { kind: 'bounced', message: note(2), reason: 'mailbox_full' },
  ]);
});

test('questions cross and are answered, or fail promptly', () => {
  const { cluster } = setup();
  const [here, there] = [cluster.at(0), cluster.at(1)];
  const asker = here.record();
  const question = (replyTo: ReplyTo): Note => note(1, { replyTo });
  const good = there.record({ onEvent: (event, t) => t.reply((event as Note).replyTo!, { yes: [1] }) });
  const silent = there.record();
  const bad = there.record({
    onEvent: () => {
      throw new Error('on purpose');
    },
  });
  const gone = there.record();
  there.kernel.kill(gone.ref);
  cluster.run();
  here.turn(asker.ref, (t) => {
    t.ask('good', good.ref, 1000, question);
    t.ask('bad', bad.ref, 1000, question);
    t.ask('gone', gone.ref, 1000, question);
    t.ask('silent', silent.ref, 1000, question);
    t.askTo('room', 'room', keyAt(1), 1000, question);
  });
  cluster.run();
  there.kernel.kill(silent.ref);
  cluster.run();
  assert.deepEqual(asker.log.seen, [
    { kind: 'reply', name: 'gone', ok: false, failure: 'no_actor' },
    { kind: 'reply', name: 'good', ok: true, value: { yes: [1] } },
    { kind: 'reply', name: 'bad', ok: false, failure: 'crashed' },
    { kind: 'reply', name: 'silent', ok: false, failure: 'no_actor' },
  ]);
  assert.equal(here.kernel.inspect().asks, 1);
});

test('monitors cross: down, restarted, demonitor, and actors that are not there', () => {
  const { cluster } = setup();
  const [here, there] = [cluster.at(0), cluster.at(1)];
  const watcher = here.record();
  const [a, b, gone] = [there.record(), there.record(), there.record()];
  there.kernel.kill(gone.ref);
  cluster.run();
  here.turn(watcher.ref, (t) => {
    for (const { ref } of [a, b, gone]) t.monitor(ref);
  });
  cluster.run();
  here.turn(watcher.ref, (t) => t.demonitor(b.ref));
  cluster.run();
  there.kernel.crash(a.ref, new Error('drill'));
  there.kernel.kill(b.ref);
  cluster.run();
  there.turn(a.ref, (t) => {
    t.send(watcher.ref, note(1));
    t.stop('end');
  });
  cluster.run();
  assert.deepEqual(watcher.log.seen, [
    { kind: 'down', ref: gone.ref, reason: { kind: 'killed', why: 'no_actor' } },
    { kind: 'restarted', ref: a.ref },
    note(1),
    { kind: 'down', ref: a.ref, reason: { kind: 'normal', why: 'end' } },
  ]);
  assert.equal(here.kernel.inspect().monitors, 0);
  assert.equal(there.kernel.inspect().watchers, 0);
});

test('a worker that dies takes its monitors with it', () => {
  const { cluster } = setup();
  const target = cluster.at(1).record();
  const watcher = cluster.at(0).record();
  cluster.at(0).turn(watcher.ref, (t) => t.monitor(target.ref));
  cluster.run();
  assert.equal(cluster.at(1).kernel.inspect().watchers, 1);
  cluster.kill(0);
  cluster.at(1).run();
  assert.equal(cluster.at(1).kernel.inspect().watchers, 0);
});

test('a worker that dies: monitors are told, questions fail, what was not posted bounces, as does what is sent while it is down', () => {
  const { cluster } = setup(2, { maxUnackedEnvelopes: 1 });
  const here = cluster.at(0);
  const there = cluster.at(1);
  const target = there.record();
  const { ref, log } = here.record();
  here.turn(ref, (t) => {
    t.monitor(target.ref);
    t.ask('q', target.ref, 10_000, (replyTo) => note(1, { replyTo }));
  });
  here.turn(ref, (t) => {
    t.send(target.ref, note(2)); // no credit: stays here
    t.sendTo('room', keyAt(1), { kind: 'line', n: 3, text: 'x', tags: ['y'] } as Line);
    t.ask('queued', target.ref, 10_000, (replyTo) => note(4, { replyTo }));
  });
  cluster.kill(1);
  here.run();
  const line = { kind: 'line', n: 3, text: 'x', tags: ['y'] };
  assert.deepEqual(
    log.seen.toSorted((one, other) => JSON.stringify(one).localeCompare(JSON.stringify(other))),
    [
      { kind: 'bounced', message: line, reason: 'worker_down' },
      { kind: 'bounced', message: note(2), reason: 'worker_down' },
      { kind: 'down', ref: target.ref, reason: { kind: 'worker_down', worker: 1 } },
      { kind: 'reply', name: 'q', ok: false, failure: 'worker_down' },
      { kind: 'reply', name: 'queued', ok: false, failure: 'worker_down' },
    ].toSorted((one, other) => JSON.stringify(one).localeCompare(JSON.stringify(other))),
  );
  log.seen.length = 0;
  here.turn(ref, (t) => {
    t.send(target.ref, note(5));
    t.sendTo('room', keyAt(1), note(6));
    t.monitor(target.ref);
    t.ask('down', target.ref, 10_000, (replyTo) => note(7, { replyTo }));
  });
  assert.deepEqual(kinds(log.seen), ['bounced', 'bounced', 'down', 'reply']);
  assert.equal(here.kernel.send(target.ref, note(8)), false);
  const { monitors, asks, timers } = here.kernel.inspect();
  assert.deepEqual({ monitors, asks, timers }, { monitors: 0, asks: 0, timers: 0 });
});

test('a worker that dies: what it had not taken out of its port comes back, what it had taken does not', () => {
  const { cluster, logOf } = setup();
  const here = cluster.at(0);
  const target = cluster.at(1).record();
  const { ref, log } = here.record();
  const line: Line = { kind: 'line', n: 3, text: 'x', tags: ['y'] };
  here.turn(ref, (t) => t.send(target.ref, note(1)));
  cluster.run();
  here.turn(ref, (t) => t.send(target.ref, note(2)));
  here.turn(ref, (t) => {
    t.send(target.ref, note(3));
    t.sendTo('room', keyAt(1), line);
    t.ask('q', target.ref, 10_000, (replyTo) => note(4, { replyTo }));
  });
  here.turn(ref, (t) => t.send(target.ref, note(5)));
  cluster.port(1, 0).pump(1); // note 2 is taken, and lies in a mailbox
  cluster.kill(1);
  here.run();
  assert.deepEqual(
    log.seen.filter(({ kind }) => kind === 'bounced'),
    [note(3), line, note(5)].map((message) => ({ kind: 'bounced', message, reason: 'worker_down' })),
  );
  assert.deepEqual(
    log.seen.filter(({ kind }) => kind !== 'bounced'),
    [{ kind: 'reply', name: 'q', ok: false, failure: 'worker_down' }],
  );
  assert.deepEqual(numbers(target.log.seen), [1]);
  assert.deepEqual(logOf(keyAt(1)).seen, []);
});

test('a worker that is given up while it lives does not take what has come back to its senders', () => {
  const { cluster } = setup();
  const here = cluster.at(0);
  const target = cluster.at(1).record();
  const { ref, log } = here.record();
  here.turn(ref, (t) => t.send(target.ref, note(1)));
  cluster.run();
  here.turn(ref, (t) => t.send(target.ref, note(2)));
  const port = cluster.port(1, 0);
  here.kernel.workerDown(1);
  here.run();
  assert.equal(port.waiting, 1);
  port.pump();
  cluster.at(1).run();
  assert.deepEqual(log.seen, [{ kind: 'bounced', message: note(2), reason: 'worker_down' }]);
  assert.deepEqual(numbers(target.log.seen), [1]);
});

test('a tally tells the sender how many batches were taken since it last looked; once closed no more are', () => {
  const sender = new Tally();
  const receiver = new Tally(sender.shared);
  assert.equal(sender.taken(), 0);
  assert.deepEqual([receiver.take(), receiver.take()], [true, true]);
  assert.equal(sender.taken(), 2);
  assert.equal(sender.taken(), 0);
  assert.ok(receiver.take());
  assert.equal(sender.close(), 1);
  assert.deepEqual([receiver.take(), receiver.take()], [false, false]);
});

test('a worker that is back: its entities are reachable again, references to its old actors find nobody', () => {
  const { cluster, logOf } = setup();
  const here = cluster.at(0);
  const key = keyAt(1);
  const old = cluster.at(1).record();
  const { ref, log } = here.record();
  here.turn(ref, (t) => t.sendTo('room', key, note(1)));
  cluster.run();
  cluster.kill(1);
  here.run();
  const fresh = cluster.start(1);
  // As many actors as before, so that slots are the same.
  fresh.record();
  here.turn(ref, (t) => {
    t.sendTo('room', key, note(2));
    t.send(old.ref, note(3));
    t.monitor(old.ref);
  });
  cluster.run();
  assert.deepEqual(numbers(logOf(key).seen), [1, 2]);
  assert.equal(logOf(key).lives, 2);
  assert.deepEqual(log.seen, [
    { kind: 'bounced', message: note(3), reason: 'no_actor' },
    { kind: 'down', ref: old.ref, reason: { kind: 'killed', why: 'no_actor' } },
  ]);
});

test('out of credit envelopes queue here, then bounce as bridge_full; credit comes back with the acknowledgement', () => {
  const limits = { maxUnackedEnvelopes: 8, batchEnvelopes: 4, maxQueuedEnvelopes: 10 };
  const { cluster } = setup(2, limits);
  const here = cluster.at(0);
  const receiver = cluster.at(1).record();
  const sender = here.record();
  here.turn(sender.ref, (t) => {
    for (let n = 0; n < 30; n++) t.send(receiver.ref, note(n));
  });
  const { queuedEnvelopes, unackedEnvelopes } = here.kernel.inspect().bridges[0]!;
  assert.equal(unackedEnvelopes, 8);
  assert.equal(queuedEnvelopes, 10);
  assert.equal(sender.log.seen.length, 12);
  assert.deepEqual(sender.log.seen[0], { kind: 'bounced', message: note(18), reason: 'bridge_full' });
  cluster.run();
  assert.deepEqual(
    numbers(receiver.log.seen),
    Array.from({ length: 18 }, (_, n) => n),
  );
  const after = here.kernel.inspect().bridges[0]!;
  assert.equal(after.queuedEnvelopes, 0);
  assert.ok(after.unackedEnvelopes < 8);
  here.turn(sender.ref, (t) => t.send(receiver.ref, note(99)));
  cluster.run();
  assert.equal(numbers(receiver.log.seen).at(-1), 99);
});

test('credit by bytes: one message larger than the window still gets through, one at a time', () => {
  const { cluster } = setup(2, { maxUnackedBytes: 1000, batchEnvelopes: 1, mailbox: { maxMessages: 1000, maxBytes: 1e9 } });
  const here = cluster.at(0);
  const receiver = cluster.at(1).record();
  const sender = here.record();
  here.turn(sender.ref, (t) => {
    for (let n = 0; n < 5; n++) t.send(receiver.ref, { ...note(n), bytes: 5000 });
  });
  assert.equal(cluster.port(0, 1).posted, 1);
  cluster.run();
  assert.deepEqual(numbers(receiver.log.seen), [0, 1, 2, 3, 4]);
});

test('queued bytes are bounded too', () => {
  const { cluster } = setup(2, { maxUnackedEnvelopes: 1, batchEnvelopes: 1, maxQueuedBytes: 500 });
  const here = cluster.at(0);
  const receiver = cluster.at(1).record();
  const sender = here.record();
  here.turn(sender.ref, (t) => {
    for (let n = 0; n < 6; n++) t.send(receiver.ref, { ...note(n), bytes: 200 });
  });
  assert.equal(sender.log.seen.length, 2);
  cluster.run();
  assert.equal(numbers(receiver.log.seen).length, 4);
});

test('answers, bounces and monitors cross even where messages would bounce', () => {
  const cluster = new TestCluster(2, (worker, incarnation, clock) =>
    makeKernel({
      worker,
      workers: 2,
      incarnation,
      clock,
      limits: worker === 0 ? { maxQueuedEnvelopes: 1, maxUnackedEnvelopes: 1, batchEnvelopes: 1 } : {},
    }),
  );
  const [here, there] = [cluster.at(0), cluster.at(1)];
  const asker = there.record();
  const answerer = here.record({ onEvent: (event, t) => t.reply((event as Note).replyTo!, (event as Note).n) });
  const blocker = there.record();
  for (let n = 0; n < 8; n++) {
    there.turn(asker.ref, (t) => t.ask(`q${n}`, answerer.ref, 1000, (replyTo) => note(n, { replyTo })));
    cluster.port(0, 1).pump();
  }
  assert.equal(here.kernel.send(blocker.ref, note(1)), false);
  cluster.run();
  assert.deepEqual(
    asker.log.seen.map((event) => (event as { value?: unknown }).value),
    [0, 1, 2, 3, 4, 5, 6, 7],
  );
});

test('a message that cannot be cloned crashes its sender; the rest of the batch arrives', () => {
  const { cluster } = setup();
  const here = cluster.at(0);
  const receiver = cluster.at(1).record();
  const bad = here.record();
  const good = here.record();
  here.kernel.send(
    good.ref,
    doing((t) => t.send(receiver.ref, note(1))),
  );
  here.kernel.send(
    bad.ref,
    doing((t) => t.send(receiver.ref, { kind: 'note', run: () => undefined } as Message)),
  );
  here.kernel.send(
    good.ref,
    doing((t) => t.send(receiver.ref, note(2))),
  );
  cluster.run();
  assert.deepEqual(numbers(receiver.log.seen), [1, 2]);
  assert.equal(here.failures[0]!.what, 'not_cloneable');
  assert.equal(bad.log.lives, 2);
  assert.equal(good.log.lives, 1);
  assert.equal(here.kernel.inspect().bridges[0]!.queuedEnvelopes, 0);
});

test('a batch of nothing but what cannot be cloned costs no credit', () => {
  const { cluster } = setup(2, { maxUnackedEnvelopes: 2, batchEnvelopes: 1, intensity: { maxRestarts: 100, withinMs: 1 } });
  const here = cluster.at(0);
  const receiver = cluster.at(1).record();
  const sender = here.record();
  for (let n = 0; n < 10; n++) {
    here.turn(sender.ref, (t) => t.send(receiver.ref, { kind: 'note', run: () => undefined } as Message));
    here.turn(sender.ref, (t) => t.send(receiver.ref, note(n)));
    cluster.run();
  }
  assert.deepEqual(numbers(receiver.log.seen), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assert.equal(here.crashes.length, 10);
});

test('an answer that cannot be cloned fails the question', () => {
  const { cluster } = setup();
  const asker = cluster.at(0).record();
  const answerer = cluster.at(1).record({ onEvent: (event, t) => t.reply((event as Note).replyTo!, () => 1) });
  cluster.at(0).turn(asker.ref, (t) => t.ask('q', answerer.ref, 10_000, (replyTo) => note(1, { replyTo })));
  cluster.run();
  assert.deepEqual(asker.log.seen, [{ kind: 'reply', name: 'q', ok: false, failure: 'crashed' }]);
});

test('a codec that throws crashes the sender and leaves no half of a message behind', () => {
  const broken: Codec<Message> = {
    write(message, out) {
      out.push(1, 2);
      if ((message as { bad?: boolean }).bad) throw new Error('codec');
      out.push(3);
    },
    read(_input, cursor) {
      cursor.at += 3;
      return { kind: 'broken' };
    },
  };
  const { cluster } = setup(2, {}, ({ kernel }) => kernel.registerCodec('broken', broken));
  const here = cluster.at(0);
  const receiver = cluster.at(1).record();
  const sender = here.record();
  here.turn(sender.ref, (t) => {
    t.send(receiver.ref, { kind: 'broken' });
    t.send(receiver.ref, { kind: 'broken', bad: true } as Message);
    t.send(receiver.ref, note(1));
  });
  cluster.run();
  assert.deepEqual(kinds(receiver.log.seen), ['broken', 'note']);
  assert.match(String(here.crashes[0]!.error), /codec 'broken' failed/);
});

test('workers may register codecs and entities in different order', () => {
  const log = makeLog();
  const cluster = new TestCluster(2, (worker, incarnation, clock) => {
    const made = makeKernel({ worker, workers: 2, incarnation, clock });
    const steps = [
      () => made.kernel.registerCodec('line', lineCodec),
      () => made.kernel.registerCodec('other', { write: () => undefined, read: () => ({ kind: 'other' }) }),
      () => made.kernel.registerEntity({ kind: 'host', machine: recorder, args: () => ({ log: makeLog() }) }),
      () => made.kernel.registerEntity({ kind: 'room', machine: recorder, args: () => ({ log }) }),
    ];
    for (const step of worker === 0 ? steps : steps.toReversed()) step();
    return made;
  });
  const sender = cluster.at(0).record();
  cluster.at(0).turn(sender.ref, (t) => {
    const line: Line = { kind: 'line', n: 1, text: 't', tags: [] };
    for (const message of [line, { kind: 'other' }, line]) t.sendTo('room', keyAt(1), message);
  });
  cluster.run();
  assert.deepEqual(kinds(log.seen), ['line', 'other', 'line']);
});

test('a port that closes by itself is a worker that is down', () => {
  const { cluster } = setup();
  const here = cluster.at(0);
  const target = cluster.at(1).record();
  const { ref, log } = here.record();
  here.turn(ref, (t) => t.monitor(target.ref));
  cluster.run();
  cluster.port(0, 1).hangUp();
  here.run();
  assert.deepEqual(log.seen, [{ kind: 'down', ref: target.ref, reason: { kind: 'worker_down', worker: 1 } }]);
  here.kernel.workerDown(1);
  here.run();
  assert.equal(log.seen.length, 1, 'told once');
});
