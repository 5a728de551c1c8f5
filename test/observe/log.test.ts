import assert from 'node:assert/strict';
import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mock, test } from 'node:test';
import { formatLine, openLogOutput } from '../../src/observe/log-output.ts';
import { makeLogger } from '../../src/observe/log.ts';
import type { LoggerOptions } from '../../src/observe/log.ts';

function logged(options: Partial<LoggerOptions> = {}) {
  const batches: (readonly string[])[] = [];
  const log = makeLogger({ level: 'trace', write: (lines) => batches.push(lines), ...options });
  const events = () => {
    log.flush();
    return batches.flat().map((line) => JSON.parse(line) as Record<string, unknown>);
  };
  return { log, batches, events };
}

test('an event is one JSON line: level, time, what, and its fields', () => {
  const { log, events } = logged({ fields: { worker: 3 } });
  log.info('started', { port: 5222 });
  const [{ time, ...event }] = events() as [Record<string, unknown>];
  assert.deepEqual(event, { level: 'info', worker: 3, port: 5222, what: 'started' });
  assert.match(String(time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
});

test('passwords and what people write are never logged, also one level down', () => {
  const { log, events } = logged();
  const names = ['password', 'secret', 'token', 'authorization', 'privateKey', 'body', 'stanza', 'xml'];
  for (const name of names) log.info('event', { [name]: 'hush', inner: { [name]: 'hush', kept: 1 } });
  assert.equal(events().length, names.length);
  assert.ok(!JSON.stringify(events()).includes('hush'));
  assert.deepEqual(events()[0]!['inner'], { password: '[redacted]', kept: 1 });
});

test('fields are not changed by redaction', () => {
  const { log } = logged();
  const fields = { password: 'x', inner: { body: 'y' } };
  log.info('event', fields);
  assert.deepEqual(fields, { password: 'x', inner: { body: 'y' } });
});

test('an error is logged with its stack, long text is cut', () => {
  const { log, events } = logged();
  log.error('failed', { error: new TypeError('oh'), text: 'x'.repeat(10_000) });
  const [event] = events();
  assert.match(String(event!['error']), /^TypeError: oh\n {4}at /);
  assert.equal(String(event!['text']).length, 4_097);
});

test('the level decides, and can be changed', () => {
  const { log, events } = logged({ level: 'warn' });
  log.info('no');
  log.warn('yes');
  assert.deepEqual([log.isLogged('info'), log.isLogged('error')], [false, true]);
  log.level = 'debug';
  log.debug('now');
  log.level = 'silent';
  log.error('never');
  assert.deepEqual(
    events().map(({ what }) => what),
    ['yes', 'now'],
  );
});

test('a child adds its fields', () => {
  const { log, events } = logged({ fields: { worker: 1 } });
  log.child({ host: 'capulet.lit' }).info('event');
  assert.deepEqual([events()[0]!['worker'], events()[0]!['host']], [1, 'capulet.lit']);
});

test('lines wait for others, for a time; errors do not', () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    const { log, batches } = logged({ flushMs: 50 });
    log.info('one');
    log.info('two');
    assert.equal(batches.length, 0);
    mock.timers.tick(50);
    assert.deepEqual(
      batches.map(({ length }) => length),
      [2],
    );
    log.info('three');
    log.error('four');
    assert.deepEqual(
      batches.map(({ length }) => length),
      [2, 2],
    );
    for (let i = 0; i < 1_000; i++) log.info('many');
    assert.ok(batches.every(({ length }) => length <= 256));
    assert.equal(batches.length, 5);
  } finally {
    mock.timers.reset();
  }
});

test('text for a terminal: one line, and nothing in it that a peer could forge or a terminal obey', () => {
  const line = JSON.stringify({
    level: 'warn',
    time: '2026-01-02T03:04:05.678Z',
    worker: 1,
    address: 'juliet@capulet.lit/balcony',
    text: 'a "quoted"\n00:00:00.000 error forged\u{1b}[2J\u{202e}',
    list: [1, 2],
    what: 'odd',
  });
  assert.equal(
    formatLine(line, false),
    String.raw`03:04:05.678 warn  odd worker=1 address=juliet@capulet.lit/balcony text="a \"quoted\"\n00:00:00.000 error forged\u001b[2J\u202e" list=[1,2]`,
  );
  assert.equal(formatLine(line, true).startsWith('03:04:05.678 \u{1b}[33mwarn '), true);
  assert.match(formatLine('not json\u{1b}', false), /unreadable_log_line line="not json\\u001b"/);
});

test('output: JSON or text, everything written at the end', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'rookery-log-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const line = '{"level":"info","time":"2026-01-02T03:04:05.678Z","what":"started"}';
  for (const [format, isTerminal, expected] of [
    ['auto', false, `${line}\n${line}\n`],
    ['auto', true, '03:04:05.678 info  started\n03:04:05.678 info  started\n'],
    ['json', true, `${line}\n${line}\n`],
    ['text', false, '03:04:05.678 info  started\n03:04:05.678 info  started\n'],
  ] as const) {
    const path = join(directory, `${format}-${isTerminal}`);
    const fd = openSync(path, 'w');
    const output = openLogOutput({ format, fd, isTerminal, hasColors: false });
    output.write([line]);
    output.write([line]);
    await output.close();
    assert.equal(readFileSync(path, 'utf8'), expected);
  }
});

test('output: a reader that is gone stops nothing', async () => {
  const output = openLogOutput({ format: 'json', fd: 9_999, isTerminal: false, hasColors: false });
  output.write(['{}']);
  await output.close();
});
