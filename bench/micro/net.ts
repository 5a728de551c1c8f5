/**
 * Sockets: CPU per write of 300 bytes under the alternatives, CPU per read, bytes per idle connection, CPU per handshake.
 *
 * Run: node bench/micro/net.ts [write|read|idle] [connections]. Each case runs in a server process of its own with its clients
 * in another; figures are of the server alone, user and system time together. Best of three. Loopback, at most 5,000 connections.
 */
import { fork, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, connect as connectPlain } from 'node:net';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls, Server as TlsServer } from 'node:tls';
import { systemClock } from '../../src/kernel/clock.ts';
import { Admission, DEFAULT_ADMISSION_LIMITS } from '../../src/net/admission.ts';
import { FlushQueue } from '../../src/net/flush-queue.ts';
import { listen } from '../../src/net/listener.ts';
import { ensureCertificate } from '../../src/net/self-signed.ts';
import { makeTlsSettings, TlsContexts } from '../../src/net/tls-context.ts';
import type { Transport, TransportHandlers } from '../../src/net/transport.ts';

const MAX_IDLE = 5_000;
const BUSY = 200;
const WRITES = 100_000;
const MESSAGES = 100_000;
const ROUNDS = 3;
/** Idle connections have usually said something before. */
const READS_BEFORE_IDLE = 10;
const STANZA = `<message type='chat' to='juliet@capulet.lit/balcony' from='romeo@montague.lit/orchard' id='abc123'><body>${'x'.repeat(179)}</body></message>`;

const CASES = {
  write: [
    'transport',
    'transport tls',
    'socket utf8',
    'socket latin1',
    'socket reused buffer',
    'socket new buffer',
    'socket utf8 tls',
    'socket latin1 tls',
    'socket reused buffer tls',
  ],
  read: ['transport', 'socket data', 'transport tls', 'socket data tls'],
  idle: ['transport', 'socket data', 'transport tls', 'transport starttls'],
} as const;
type Kind = keyof typeof CASES;

const cpuUs = (since: NodeJS.CpuUsage): number => {
  const { user, system } = process.cpuUsage(since);
  return user + system;
};

/** What the measured cases have in common: something to write to, told when something comes. */
interface Connection {
  write(text: string): void;
}

const IGNORE: Omit<TransportHandlers, 'bytes' | 'secure'> = { drained: () => undefined, closed: () => undefined };

/** Starts the case's server; `opened` is called for each connection that is ready, `received` for each read. */
async function startServer(name: string, opened: (connection: Connection) => void, received: () => void): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), 'rookery-bench-'));
  const files = ensureCertificate(directory, ['capulet.lit']);
  const cert = readFileSync(files.certificateFile);
  const key = readFileSync(files.keyFile);
  const { contexts } = TlsContexts.load(makeTlsSettings([{ domain: 'capulet.lit', ...files }]));
  rmSync(directory, { recursive: true });
  if (name.startsWith('transport')) {
    const everything = {
      maxConnections: 1e6,
      maxUnauthenticated: 1e6,
      maxPerAddress: 1e6,
      maxUnauthenticatedPerAddress: 1e6,
      connectBurst: 1e6,
    };
    const flushQueue = new FlushQueue();
    const ready = (transport: Transport): void => {
      opened({
        write(text) {
          transport.write(text);
          transport.flush();
        },
      });
    };
    const handlersOf = (transport: Transport): TransportHandlers => ({ ...IGNORE, bytes: received, secure: () => ready(transport) });
    const handlers: TransportHandlers = { ...IGNORE, bytes: received, secure: () => undefined };
    const listener = await listen({
      hosts: ['127.0.0.1'],
      port: 0,
      setting: 'BENCH',
      kind: name.endsWith(' tls') ? 'direct_tls' : 'starttls',
      tls: contexts,
      flushQueue,
      admission: new Admission({ ...DEFAULT_ADMISSION_LIMITS, ...everything }, systemClock),
      accept(transport) {
        if (name.endsWith('starttls')) {
          transport.setHandlers(handlersOf(transport));
          transport.startTls();
        } else {
          transport.setHandlers(handlers);
          ready(transport);
        }
      },
    });
    if (listener.kind !== 'listener') throw new Error(listener.text);
    return listener.port;
  }
  const shared = Buffer.allocUnsafeSlow(64 * 1024);
  const serve = (socket: Socket): void => {
    socket.on('data', received);
    socket.on('error', () => socket.destroy());
    opened({
      write(text) {
        if (name.includes('utf8')) socket.write(text, 'utf8');
        else if (name.includes('latin1')) socket.write(text, 'latin1');
        // May be reused only once the write is through; where it is not, as always under TLS, a real one would have to copy.
        else if (name.includes('reused')) socket.write(shared.subarray(0, shared.write(text, 'utf8')));
        else socket.write(Buffer.from(text));
      },
    });
  };
  const tls = name.endsWith('tls') ? new TlsServer({ cert, key }, serve) : undefined;
  const server = createServer({ noDelay: true }, (socket) => (tls === undefined ? serve(socket) : tls.emit('connection', socket)));
  return new Promise((resolve) => server.listen(0, '127.0.0.1', 2048, () => resolve((server.address() as { port: number }).port)));
}

/** The measured process: one case, one line. */
async function runCase(kind: Kind, name: string, count: number): Promise<void> {
  const connections: Connection[] = [];
  let reads = 0;
  const all = Promise.withResolvers<void>();
  const port = await startServer(
    name,
    (connection) => {
      connections.push(connection);
      if (connections.length === count) all.resolve();
    },
    () => reads++,
  );
  globalThis.gc?.();
  const before = process.memoryUsage();
  const opening = process.cpuUsage();
  const clients = fork(import.meta.filename, ['clients', String(port), String(count), name.endsWith('tls') ? 'tls' : 'plain']);
  const message = (): Promise<unknown> => new Promise((resolve) => clients.once('message', resolve));
  const connected = message();
  await Promise.all([all.promise, connected]);
  const openingUs = cpuUs(opening);

  if (kind === 'idle') {
    const each = (key: 'rss' | 'heapUsed'): string => {
      globalThis.gc?.();
      globalThis.gc?.();
      return String(Math.round((process.memoryUsage()[key] - before[key]) / count)).padStart(6);
    };
    const opened = `${each('rss')} B resident, ${each('heapUsed')} B of it JavaScript heap`;
    const sent = message();
    clients.send(count * READS_BEFORE_IDLE);
    await sent;
    console.log(
      `${name.padEnd(20)} ${opened}; ${each('rss')} B after ${READS_BEFORE_IDLE} reads; ${(openingUs / count).toFixed(0).padStart(5)} us CPU to open`,
    );
  } else if (kind === 'write') {
    for (const gathered of [1, 8]) {
      let best = Infinity;
      for (let round = 0; round < ROUNDS; round++) best = Math.min(best, await writeRound(connections, gathered));
      console.log(`${`${name}, ${gathered} gathered`.padEnd(40)} ${best.toFixed(2).padStart(6)} us per write`);
    }
  } else {
    let best = Infinity;
    for (let round = 0; round < ROUNDS; round++) {
      reads = 0;
      const start = process.cpuUsage();
      const sent = message();
      clients.send(MESSAGES / ROUNDS);
      await sent;
      best = Math.min(best, cpuUs(start) / reads);
    }
    console.log(`${name.padEnd(40)} ${best.toFixed(2).padStart(6)} us per read`);
  }
  clients.disconnect();
  process.exit(0);
}

async function writeRound(connections: readonly Connection[], gathered: number): Promise<number> {
  const start = process.cpuUsage();
  const writes = WRITES / ROUNDS;
  for (let i = 0; i < writes;) {
    for (let k = 0; k < 20; k++, i++) {
      let text = '';
      for (let g = 0; g < gathered; g++) text += STANZA;
      connections[i % connections.length]!.write(text);
    }
    await new Promise(setImmediate);
  }
  return cpuUs(start) / writes;
}

/** The other process: connects, reads everything, sends when told. */
async function runClients(port: number, count: number, isTls: boolean): Promise<void> {
  const sockets: Socket[] = [];
  const open = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const socket = isTls
        ? connectTls({ port, host: '127.0.0.1', servername: 'capulet.lit', rejectUnauthorized: false })
        : connectPlain(port, '127.0.0.1');
      socket.on('error', reject);
      socket.on('data', () => undefined);
      socket.once(isTls ? 'secureConnect' : 'connect', () => {
        sockets.push(socket);
        resolve();
      });
    });
  for (let i = 0; i < count; i += 50) await Promise.all(Array.from({ length: Math.min(50, count - i) }, open));
  process.send!('ready');
  process.on('disconnect', () => process.exit(0));
  process.on('message', async (messages: number) => {
    const data = Buffer.from(STANZA);
    // Few enough per turn that each is a read of its own.
    for (let i = 0; i < messages;) {
      for (let k = 0; k < 50; k++, i++) sockets[i % sockets.length]!.write(data);
      await new Promise(setImmediate);
    }
    process.send!('sent');
  });
}

const [role = '', ...args] = process.argv.slice(2);
if (role === 'clients') await runClients(Number(args[0]), Number(args[1]), args[2] === 'tls');
else if (role === 'case') await runCase(args[0] as Kind, args[1]!, Number(args[2]));
else {
  for (const kind of role === '' ? (Object.keys(CASES) as Kind[]) : [role as Kind]) {
    const count = kind === 'idle' ? Math.min(MAX_IDLE, Number(args[0] ?? MAX_IDLE)) : BUSY;
    console.log(`\n${kind}, ${count} connections`);
    for (const name of CASES[kind])
      spawnSync(process.execPath, ['--expose-gc', import.meta.filename, 'case', kind, name, String(count)], { stdio: 'inherit' });
  }
}
