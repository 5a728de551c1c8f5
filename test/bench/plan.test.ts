/** Who takes part in what of the peers' table, and how options are read. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CommandLineError, parseCommandLine } from '../../bench/load/command-line.ts';
import { COMMON_OPTIONS } from '../../bench/load/scenario.ts';
import { scenarioNamed, SCENARIOS } from '../../bench/load/scenarios/index.ts';
import { CONTESTANTS, withWorkers } from '../../bench/peers/contestants.ts';
import { entriesOf, PLAN, suits } from '../../bench/peers/plan.ts';

test('every scenario is in the plan, under titles of their own, with options that it has', () => {
  assert.deepEqual([...new Set(PLAN.map(({ scenario }) => scenario))].toSorted(), SCENARIOS.map(({ name }) => name).toSorted());
  assert.equal(new Set(PLAN.map(({ title }) => title)).size, PLAN.length);
  for (const { title, scenario, options } of PLAN) {
    const known = { ...COMMON_OPTIONS, ...scenarioNamed(scenario).options };
    for (const [name, value] of Object.entries(options)) {
      assert.ok(name in known, `${title}: ${name}`);
      assert.equal(typeof value, typeof known[name as keyof typeof known].default, `${title}: ${name}`);
    }
  }
});

test('no scenario has an option of the name of a common one', () => {
  for (const { name, options } of SCENARIOS)
    assert.deepEqual(
      Object.keys(options).filter((each) => each in COMMON_OPTIONS),
      [],
      name,
    );
});

const takePart = (title: string): string[] => {
  const entry = PLAN.find((each) => each.title === title)!;
  return CONTESTANTS.filter((each) => suits(entry, each)).map(({ name }) => name);
};

test('archives of others take part where it is about messages kept, servers without one do not page', () => {
  assert.deepEqual(
    takePart('chat, window 1'),
    CONTESTANTS.map(({ name }) => name),
  );
  assert.deepEqual(takePart('roster set'), ['rookery', 'ejabberd', 'prosody', 'jabberd2']);
  assert.deepEqual(takePart('archive paging'), ['rookery', 'ejabberd+archive', 'ejabberd+archive-sql', 'prosody+archive']);
  assert.deepEqual(takePart('reconnect, resumed'), ['rookery', 'ejabberd', 'prosody']);
});

test('entries are found by a part of their name; those that take long only so', () => {
  const titles = (wanted: readonly string[]): string[] => entriesOf(wanted).map(({ title }) => title);
  assert.ok(!titles([]).includes('register'));
  assert.deepEqual(titles(['register']), ['register']);
  assert.deepEqual(titles(['chat, window']), ['chat, window 1', 'chat, window 16']);
  assert.throws(() => entriesOf(['nothing']), /nothing is called nothing/);
});

test('Rookery with several numbers of workers stands once for each, in its place', () => {
  const [rookery, other] = CONTESTANTS;
  assert.deepEqual(
    withWorkers([rookery!, other!], [1, 4]).map(({ name, workers }) => [name, workers]),
    [
      ['rookery x 1', 1],
      ['rookery x 4', 4],
      [other!.name, undefined],
    ],
  );
  assert.deepEqual(withWorkers([rookery!], []), [rookery]);
});

test('the command line: numbers, switches, processes', () => {
  const { request, json } = parseCommandLine(scenarioNamed('reconnect'), [
    '--no-resume',
    '--sessions',
    '7',
    '--pid',
    '3,4',
    '--pid',
    '5',
    '--json=x.json',
  ]);
  assert.deepEqual(request.options, { resume: false, sessions: 7 });
  assert.deepEqual(request.pids, [3, 4, 5]);
  assert.deepEqual(request.target, { host: '127.0.0.1', port: 5_222, domain: 'localhost' });
  assert.equal(json, 'x.json');
  for (const wrong of [['--sessions', 'many'], ['--threads', '0'], ['--pid', 'x'], ['--unknown'], ['stray']]) {
    assert.throws(() => parseCommandLine(scenarioNamed('reconnect'), wrong), CommandLineError, wrong.join(' '));
  }
});
