/** The judge of crash drills, on invented histories: a drill that cannot fail proves nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkFlow, type FlowHistory, type ReceivedMessage, type SentMessage } from '../../bench/drill/checker.ts';
import { makeReport, type DrillReport } from '../../bench/drill/report.ts';

const COUNT = 5;

function sent(changes: Readonly<Record<number, Partial<SentMessage>>> = {}): SentMessage[] {
  return Array.from({ length: COUNT }, (_, n) => ({ isAcknowledged: true, isResent: false, isReturned: false, ...changes[n] }));
}

function received(numbers: readonly number[], failures: readonly number[] = []): ReceivedMessage[] {
  return numbers.map((n, i) => ({ n, failures: failures[i] ?? 0, archiveId: undefined }));
}

const archived = (numbers: readonly number[]): { n: number; archiveId: string }[] => numbers.map((n, i) => ({ n, archiveId: `id${i}` }));

function flow(changes: Partial<FlowHistory> = {}): FlowHistory {
  const all = [0, 1, 2, 3, 4];
  return {
    name: '0:a',
    sent: sent(),
    received: received(all),
    recipientArchive: archived(all),
    senderArchive: archived(all),
    ...changes,
  };
}

const report = (history: FlowHistory, changes: Partial<Parameters<typeof makeReport>[0]> = {}): DrillReport =>
  makeReport({
    target: 'invented',
    seed: 0,
    pairs: 1,
    seconds: 1,
    isAtRest: true,
    injected: new Map(),
    episodes: [],
    findings: [checkFlow(history)],
    violations: [],
    refusals: new Map(),
    mayReturn: false,
    unanswered: 0,
    answeredTwice: 0,
    traces: [],
    ...changes,
  });

test('a flawless history passes', () => {
  const { problems, live, recipientArchive, senderArchive, acknowledged } = report(flow());
  assert.deepEqual(problems, []);
  assert.equal(acknowledged, COUNT);
  for (const view of [live, recipientArchive, senderArchive])
    assert.deepEqual(view, { messages: COUNT, lost: 0, doubled: 0, doubledByRefusal: 0, outOfOrder: 0, unknown: 0 });
});

for (const where of ['received', 'recipientArchive', 'senderArchive'] as const) {
  const view = where === 'received' ? 'live' : where;
  const make = where === 'received' ? received : archived;
  const judged = (numbers: readonly number[], messages = sent()) => report(flow({ sent: messages, [where]: make(numbers) }));

  test(`${view}: a loss is found`, () => {
    const { problems, [view]: figures } = judged([0, 1, 3, 4]);
    assert.equal(figures!.lost, 1);
    assert.equal(problems.length, 1);
    assert.match(problems[0]!, /1 acknowledged messages lost, such as 0:a:2$/);
  });

  test(`${view}: a message that nobody acknowledged is no loss`, () => {
    assert.deepEqual(judged([0, 1, 3, 4], sent({ 2: { isAcknowledged: false } })).problems, []);
  });

  test(`${view}: the last ones missing are found`, () => {
    assert.equal(judged([0, 1])[view]!.lost, 3);
  });

  test(`${view}: a double is found, however far behind`, () => {
    for (const numbers of [
      [0, 1, 1, 2, 3, 4],
      [0, 1, 2, 3, 4, 1],
    ]) {
      const { problems, [view]: figures } = judged(numbers);
      assert.deepEqual([figures!.doubled, figures!.outOfOrder, figures!.lost], [1, 0, 0]);
      assert.match(problems.join(), /1 messages doubled, such as 0:a:1/);
    }
    assert.equal(judged([0, 1, 1, 1, 2, 3, 4])[view]!.doubled, 2);
  });

  test(`${view}: a swap is found, and counted once`, () => {
    const { problems, [view]: figures } = judged([0, 2, 1, 3, 4]);
    assert.deepEqual([figures!.outOfOrder, figures!.lost, figures!.doubled], [1, 0, 0]);
    assert.match(problems.join(), /1 messages out of order, such as 0:a:1/);
  });

  test(`${view}: a message nobody sent is found`, () => {
    assert.equal(judged([0, 1, 2, 3, 4, 5])[view]!.unknown, 1);
  });

  test(`${view}: a double of a message that was sent again in another session is counted apart`, () => {
    const { problems, [view]: figures } = judged([0, 1, 2, 2, 3, 4], sent({ 2: { isResent: true } }));
    assert.deepEqual([figures!.doubled, figures!.doubledByRefusal], [0, 1]);
    assert.deepEqual(problems, []);
  });
}

test('a double across a session of the recipient that was refused is counted apart, one within a session is not', () => {
  const across = report(flow({ received: received([0, 1, 2, 2, 3, 4], [0, 0, 0, 1, 1, 1]) })).live;
  assert.deepEqual([across.doubled, across.doubledByRefusal], [0, 1]);
  const within = report(flow({ received: received([0, 1, 2, 2, 3, 4], [0, 1, 1, 1, 1, 1]) })).live;
  assert.deepEqual([within.doubled, within.doubledByRefusal], [1, 0]);
});

test('a message returned to its sender is no loss, but has to be expected', () => {
  const history = flow({ sent: sent({ 2: { isReturned: true } }), received: received([0, 1, 3, 4]) });
  assert.deepEqual(report(history, { mayReturn: true }).problems, []);
  assert.match(report(history).problems.join(), /1 messages came back as errors/);
});

test('a message both returned and delivered is found', () => {
  const history = flow({ sent: sent({ 2: { isReturned: true } }) });
  assert.match(report(history, { mayReturn: true }).problems.join(), /came back as errors and were delivered all the same/);
});

test('lost for good is what is neither received nor in the archive of the recipient', () => {
  const history = flow({ received: received([0, 1, 4]), recipientArchive: archived([0, 1, 2, 4]) });
  assert.deepEqual(checkFlow(history).lostForGood, [3]);
});

test('XEP-0359: an id that is another one in the archive is found', () => {
  const came = (id: string) => [{ n: 0, failures: 0, archiveId: id }, ...received([1, 2, 3, 4])];
  assert.deepEqual(checkFlow(flow({ received: came('id0') })).changedIds, []);
  assert.deepEqual(checkFlow(flow({ received: came('other') })).changedIds, [0]);
  assert.match(report(flow({ received: came('other') })).problems.join(), /another id in the archive/);
});

test('a refused session, a violation of the protocol and a client without rest are problems', () => {
  const refused = report(flow(), { episodes: [{ cause: 'kill', how: 'refused', ms: 1 }] });
  assert.match(refused.problems.join(), /1 sessions could not be resumed/);
  assert.deepEqual(refused.faults.kill, {
    injected: 0,
    sessions: 1,
    resumed: 0,
    refused: 1,
    anew: 0,
    missing: 0,
    medianMs: 1,
    maxMs: 1,
  });
  assert.deepEqual(report(flow(), { violations: ['no rest'] }).problems, ['no rest']);
});
