import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, linkSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { callControl, streamControl } from '../../src/control/client.ts';
import { controlPath, LineReader, MAX_REQUEST_BYTES } from '../../src/control/protocol.ts';
import { startControl } from '../../src/control/server.ts';
import { OperatorError } from '../../src/kernel/errors.ts';
import { commands, noOperations, startFakeServer, topFrame } from './fake-server.ts';

const code = (expected: string) => (error: unknown) => {
  assert.equal((error as { code?: string }).code, expected, String(error));
  return true;
};

function temporaryDirectory(t: { after(run: () => void): void }): string {
  const directory = mkdtempSync(join(tmpdir(), 'rookery-socket-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

test('a command’s result, and an operator’s error with its code, come back', async () => {
  await using server = await startFakeServer();
  assert.equal((await callControl(server.path, 'status', {})).pid, 4_711);
  assert.deepEqual(await callControl(server.path, 'stop', {}), { delay: 0 });
  await assert.rejects(callControl(server.path, 'user del', { address: 'nobody@capulet.lit' }), code('ERR_NO_ACCOUNT'));
  await assert.rejects(callControl(server.path, 'user del', { address: '' }), code('ERR_COMMAND_ARGUMENTS'));
});

test('a failure that is no operator’s fault is told to the server’s log and not to the client', async () => {
  const secret = new TypeError('the inner workings');
  await using server = await startFakeServer(
    commands(new Map(), {
      reload: () => {
        throw secret;
      },
    }),
  );
  await assert.rejects(callControl(server.path, 'reload', {}), (error: Error) => {
    assert.ok(!error.message.includes('inner'));
    return code('ERR_COMMAND_FAILED')(error);
  });
  assert.deepEqual(server.failures, [secret]);
});

test('streaming: every item arrives in order, then the end', async () => {
  await using server = await startFakeServer();
  const frames: unknown[] = [];
  for await (const frame of streamControl(server.path, 'top', {}, new AbortController().signal)) frames.push(frame);
  assert.deepEqual(frames, [topFrame(1), topFrame(2), topFrame(3)]);
});

test('streaming: the command is told when the client is gone', async () => {
  const stopped = Promise.withResolvers<void>();
  await using server = await startFakeServer(
    commands(new Map(), {
      top: async function* (_, { signal }) {
        try {
          for (let second = 0; !signal.aborted; second++) {
            yield topFrame(second);
            await new Promise((resolve) => setImmediate(resolve));
          }
        } finally {
          stopped.resolve();
        }
      },
    }),
  );
  const leave = new AbortController();
  for await (const frame of streamControl(server.path, 'top', {}, leave.signal)) {
    if (frame.atMs >= topFrame(2).atMs) leave.abort();
  }
  await stopped.promise;
});

test('streaming: a reader that does not read holds up the stream, not memory', async (t) => {
  let made = 0;
  const big = 'x'.repeat(100_000);
  await using server = await startFakeServer(
    commands(new Map(), {
      top: async function* (_, { signal }) {
        while (!signal.aborted) {
          made++;
          yield topFrame(made, { actors: [{ worker: 0, id: 0, kind: big, state: '', what: '', queued: 0, queuedBytes: 0, restarts: 0 }] });
        }
      },
    }),
  );
  const socket = connect(server.path);
  t.after(() => socket.destroy());
  await once(socket, 'connect');
  socket.write('{"id":0,"command":"top","args":{}}\n');
  socket.pause();
  // The stream stands still once the socket's buffers are full: wait until a whole round trip of another client adds nothing.
  for (let before = -1; made !== before || made === 0;) {
    before = made;
    await callControl(server.path, 'status', {});
    await callControl(server.path, 'status', {});
  }
  assert.ok(made < 100, `${made} items of 100 kB were made for a reader that reads none`);
});

test('a server that goes away in the middle is an error with a code', async () => {
  const server = await startFakeServer(
    commands(new Map(), {
      reload: async () => {
        await server[Symbol.asyncDispose]();
        return { changes: [] };
      },
    }),
  );
  await assert.rejects(callControl(server.path, 'reload', {}), code('ERR_CONTROL_CLOSED'));
});

test('no server: the error says so, also where a dead one left its socket', async (t) => {
  const path = join(temporaryDirectory(t), 'control.sock');
  await assert.rejects(callControl(path, 'status', {}), code('ERR_NOT_RUNNING'));
  await leaveDeadSocket(path);
  assert.ok(existsSync(path));
  await assert.rejects(callControl(path, 'status', {}), code('ERR_NOT_RUNNING'));
});

/** What `kill -9` leaves: a bound name with nobody behind it. */
async function leaveDeadSocket(path: string): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(`${path}.bound`, resolve));
  linkSync(`${path}.bound`, path);
  await new Promise((resolve) => server.close(resolve));
}

test('a dead server’s socket is taken over', async (t) => {
  const path = join(temporaryDirectory(t), 'control.sock');
  await leaveDeadSocket(path);
  const control = await startControl({ path, commands: commands(), operations: noOperations, version: '1' });
  assert.equal((await callControl(path, 'status', {})).version, '1.2.3');
  await control.close();
  assert.ok(!existsSync(path));
});

test('a living server’s socket is not: the second one is refused and the first goes on', async () => {
  await using server = await startFakeServer();
  await assert.rejects(
    startControl({ path: server.path, commands: commands(), operations: noOperations, version: '2' }),
    code('ERR_CONTROL_IN_USE'),
  );
  assert.equal((await callControl(server.path, 'status', {})).pid, 4_711);
  assert.deepEqual(readdirSync(server.dataDir), ['control.sock', 'control.sock.lock']);
});

test('of many that start at once over a dead socket, exactly one gets it', async (t) => {
  const directory = temporaryDirectory(t);
  const path = join(directory, 'control.sock');
  await leaveDeadSocket(path);
  const outcomes = await Promise.allSettled(
    Array.from({ length: 8 }, () => startControl({ path, commands: commands(), operations: noOperations, version: '1' })),
  );
  const started = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
  for (const outcome of outcomes) if (outcome.status === 'rejected') code('ERR_CONTROL_IN_USE')(outcome.reason);
  assert.equal(started.length, 1);
  assert.equal((await callControl(path, 'status', {})).pid, 4_711);
  await started[0]!.close();
  assert.ok(!existsSync(path));
});

test('only this user can open the socket', async () => {
  await using server = await startFakeServer();
  assert.equal(statSync(server.path).mode & 0o777, 0o600);
});

test('a path too long for a socket works all the same', { skip: process.platform !== 'linux' }, async (t) => {
  const path = controlPath(join(temporaryDirectory(t), 'd'.repeat(200)));
  await assert.rejects(callControl(path, 'status', {}), code('ERR_NOT_RUNNING'));
  const control = await startControl({ path, commands: commands(), operations: noOperations, version: '1' });
  assert.equal((await callControl(path, 'status', {})).pid, 4_711);
  await control.close();
  assert.ok(!existsSync(path));
});

test('commands given while the server starts wait until it is up, or are told that it will not be', async (t) => {
  const path = join(temporaryDirectory(t), 'control.sock');
  for (const comesUp of [true, false]) {
    const asked = Promise.withResolvers<void>();
    const starting = Promise.withResolvers<ReturnType<typeof noOperations>>();
    const operations = () => {
      asked.resolve();
      return starting.promise;
    };
    const control = await startControl({ path, commands: commands(), operations, version: '1' });
    const result = callControl(path, 'status', {});
    await asked.promise;
    if (comesUp) {
      starting.resolve(noOperations());
      assert.equal((await result).pid, 4_711);
    } else {
      starting.reject(new OperatorError('ERR_NOT_READY', 'It did not come up.'));
      await assert.rejects(result, code('ERR_NOT_READY'));
    }
    await control.close();
  }
});

test('the lock goes with a process that is killed', async (t) => {
  const directory = temporaryDirectory(t);
  const path = controlPath(directory);
  const child = spawn(process.execPath, [join(import.meta.dirname, 'hold-socket.ts'), path], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  await assert.rejects(startControl({ path, commands: commands(), operations: noOperations, version: '1' }), code('ERR_CONTROL_IN_USE'));
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.ok(existsSync(path));
  const control = await startControl({ path, commands: commands(), operations: noOperations, version: '1' });
  assert.equal((await callControl(path, 'status', {})).pid, 4_711);
  await control.close();
});

test('where the socket cannot be made, the operator is told', async (t) => {
  const directory = temporaryDirectory(t);
  writeFileSync(join(directory, 'file'), '');
  await assert.rejects(
    startControl({ path: join(directory, 'file', 'control.sock'), commands: commands(), operations: noOperations, version: '1' }),
    code('ERR_CONTROL_SOCKET'),
  );
});

/** Sends bytes that are no request and waits to be cut off. */
async function isCutOff(path: string, text: string): Promise<boolean> {
  const socket: Socket = connect(path);
  socket.on('error', () => undefined);
  socket.resume();
  socket.write(text);
  await once(socket, 'close');
  return true;
}

test('a client that does not speak the protocol is cut off, and the others served', async () => {
  await using server = await startFakeServer();
  for (const text of [
    'GET / HTTP/1.1\r\n\r\n',
    '{"id":0}\n',
    '[]\n',
    '{"id":-1,"command":"status","args":{}}\n',
    `${'x'.repeat(MAX_REQUEST_BYTES + 1)}`,
  ]) {
    assert.ok(await isCutOff(server.path, text));
  }
  assert.equal((await callControl(server.path, 'status', {})).pid, 4_711);
});

test('a server of another protocol is not talked to', async (t) => {
  const path = join(temporaryDirectory(t), 'control.sock');
  const server = createServer((socket) => socket.end('{"rookery":"9.9","protocol":99,"pid":1}\n{"id":0,"result":{}}\n'));
  t.after(() => server.close());
  await new Promise<void>((resolve) => server.listen(path, resolve));
  await assert.rejects(callControl(path, 'stop', {}), code('ERR_CONTROL_PROTOCOL'));
});

test('lines are the same however the bytes are cut', () => {
  const text = Buffer.from('{"a":"ü"}\n\n{"b":1}\nrest');
  for (let cut = 0; cut <= text.length; cut++) {
    const lines: string[] = [];
    const reader = new LineReader(100);
    assert.ok(reader.read(text.subarray(0, cut), (line) => lines.push(line)));
    assert.ok(reader.read(text.subarray(cut), (line) => lines.push(line)));
    assert.deepEqual(lines, ['{"a":"ü"}', '', '{"b":1}']);
  }
});

test('a line over the limit is refused, whether or not its end has come', () => {
  assert.equal(
    new LineReader(3).read(Buffer.from('abcd'), () => undefined),
    false,
  );
  assert.equal(
    new LineReader(3).read(Buffer.from('abcd\n'), () => undefined),
    false,
  );
  assert.equal(
    new LineReader(3).read(Buffer.from('abc\nabc\n'), () => undefined),
    true,
  );
});
