/**
 * Messages between two servers of one kind, over a link with TLS and certificates: `npm run bench -- s2s --server rookery`.
 * Starts both itself; pairs in a closed loop as in `chat`, sender and recipient at different servers.
 */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { Authority } from '../../test/harness/authority.ts';
import { startFederated, type Federated, type Kind } from '../../test/harness/federated.ts';
import { freePorts } from '../../test/harness/own-process.ts';
import { LoadClient } from './client.ts';
import { CommandLineError } from './command-line.ts';
import { Histogram } from './histogram.ts';
import { Template } from './outbox.ts';
import { ID, attributeText, isMessage } from './scanner.ts';
import { cpuMicros } from './server-cost.ts';

export const FEDERATION_USAGE = `s2s: messages between two servers of one kind; both are started
  --server <rookery|prosody|ejabberd>  default: rookery
  --pairs <n>     pairs of users, one at each server (20)
  --window <n>    messages of each pair under way (1)
  --seconds <n>   measured, after 2 seconds of load (10)
  --dialback      certificates of nobody, so dialback`;

/** Rookery's default: the others are measured with theirs. */
const WORKERS = String(Math.max(1, availableParallelism() - 1));
const PASSWORD = 'a password';
const DOMAINS = ['capulet.test', 'montague.test'] as const;
const TOKEN = 's2s';

interface Loop {
  readonly sender: LoadClient;
  readonly sentAt: Map<number, number>;
  sent: number;
  received: number;
}

/** Throws where the arguments are wrong, a server does not start, or a message is lost or out of order. */
export async function benchFederation(args: readonly string[]): Promise<void> {
  const { server, pairs, window, seconds, isDialback } = readArguments(args);
  await using authority = await Authority.make();
  await using stranger = await Authority.make();
  const issue = (domain: string) => (isDialback ? stranger : authority).issue({ names: [`DNS:${domain}`], uses: 'serverAuth,clientAuth' });
  const ports = await freePorts(4);
  const start = async (at: 0 | 1): Promise<Federated> =>
    startFederated({
      kind: server,
      domain: DOMAINS[at],
      port: ports[at]!,
      s2sPort: ports[2 + at]!,
      peer: { domain: DOMAINS[1 - at]!, port: ports[3 - at]! },
      certificate: await issue(DOMAINS[at]),
      authorityFile: authority.file,
      isDialback,
      workers: WORKERS,
    });
  await using one = await start(0);
  await using other = await start(1);
  const servers = [one, other] as const;
  const logIn = async (at: 0 | 1, local: string): Promise<LoadClient> => {
    await servers[at].createAccount(local, PASSWORD);
    const client = await LoadClient.open({ host: '127.0.0.1', port: ports[at]!, domain: DOMAINS[at] }, local);
    await client.logIn(PASSWORD, 'SCRAM-SHA-1', 'bench');
    await client.ask('<presence/>', /<presence/);
    return client;
  };

  const latencies = new Histogram();
  let arrived = 0;
  let isMeasuring = false;
  let isOver = false;
  const loops: Loop[] = [];
  for (let i = 0; i < pairs; i++) {
    const sender = await logIn((i % 2) as 0 | 1, `sender${i}`);
    const recipient = await logIn((1 - (i % 2)) as 0 | 1, `recipient${i}`);
    const loop: Loop = { sender, sentAt: new Map(), sent: 0, received: 0 };
    const template = new Template(recipient.jid, TOKEN, 'x'.repeat(100));
    const send = (): void => {
      const buffer = Buffer.allocUnsafe(template.bytes.length);
      template.copy(buffer, 0, ++loop.sent);
      loop.sentAt.set(loop.sent, performance.now());
      sender.send(buffer);
    };
    sender.listen((bytes, start, end) => {
      if (isMessage(bytes, start)) throw new Error(`refused: ${bytes.toString('utf8', start, end)}`);
    });
    recipient.listen((bytes, start, end) => {
      if (!isMessage(bytes, start)) return;
      const number = Number(attributeText(bytes, start, end, ID)?.slice(TOKEN.length + 1));
      if (number !== ++loop.received) throw new Error(`message ${number} came where ${loop.received} was due`);
      if (isMeasuring) {
        arrived++;
        latencies.record((performance.now() - loop.sentAt.get(number)!) * 1_000);
      }
      loop.sentAt.delete(number);
      if (!isOver) send();
    });
    loops.push(loop);
    for (let each = 0; each < window; each++) send();
  }
  await pause(2);
  const pids = [one.pid, other.pid];
  const cpuBefore = cpuMicros(pids);
  const startMs = performance.now();
  isMeasuring = true;
  await pause(seconds);
  isMeasuring = false;
  const elapsedS = (performance.now() - startMs) / 1_000;
  const cpuUs = cpuMicros(pids) - cpuBefore;
  isOver = true;
  const { p50, p99, max } = latencies.percentiles();
  console.log(
    `${server}, ${isDialback ? 'dialback' : 'certificates'}, ${pairs} pairs, window ${window}: ${Math.round(arrived / elapsedS)} messages/s, ` +
      `p50 ${(p50 / 1_000).toFixed(1)} ms, p99 ${(p99 / 1_000).toFixed(1)} ms, max ${(max / 1_000).toFixed(1)} ms, ` +
      `CPU of both servers ${Math.round(cpuUs / Math.max(arrived, 1))} us/message`,
  );
  for (const { sender } of loops) sender.close();
}

function readArguments(args: readonly string[]): { server: Kind; pairs: number; window: number; seconds: number; isDialback: boolean } {
  const options = {
    server: { type: 'string', default: 'rookery' },
    pairs: { type: 'string', default: '20' },
    window: { type: 'string', default: '1' },
    seconds: { type: 'string', default: '10' },
    dialback: { type: 'boolean', default: false },
  } as const;
  let values;
  try {
    ({ values } = parseArgs({ args: [...args], options }));
  } catch (error) {
    throw new CommandLineError(`${(error as Error).message}\n\n${FEDERATION_USAGE}`);
  }
  const { server } = values;
  const [pairs, window, seconds] = [Number(values.pairs), Number(values.window), Number(values.seconds)];
  const isKind = server === 'rookery' || server === 'prosody' || server === 'ejabberd';
  if (!isKind || ![pairs, window, seconds].every((value) => Number.isInteger(value) && value > 0))
    throw new CommandLineError(FEDERATION_USAGE);
  return { server, pairs, window, seconds, isDialback: values.dialback };
}

const pause = (seconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
