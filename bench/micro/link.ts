/**
 * The link between a transport and an actor: CPU per frame in, per write out, with and without a shaper.
 *
 * Run: node bench/micro/link.ts [--json]. The transport does nothing; framing is in the figures, as it is in each read.
 */
import { systemClock } from '../../src/kernel/clock.ts';
import type { Transport } from '../../src/net/transport.ts';
import { Link, LinkShare } from '../../src/stream/link.ts';
import type { ShaperRates } from '../../src/stream/shaper.ts';
import { LIMITS_OF_CLIENT } from '../../src/xml/limits.ts';
import { report } from './results.ts';

const FRAMES = 1_000_000;
const ROUNDS = 5;
const HEADER = `<stream:stream to='capulet.lit' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`;
const STANZA = `<message type='chat' to='juliet@capulet.lit/balcony' from='romeo@montague.lit/orchard' id='abc123'><body>${'x'.repeat(179)}</body></message>`;
/** Never reached: what is measured is the counting. */
const RATES: ShaperRates = { bytesPerSecond: 1e12, burstBytes: 1e12, stanzasPerSecond: 1e12, burstStanzas: 1e12 };
const share = new LinkShare({ softBytes: 1e6, graceMs: 10_000, hardBytes: 8e6, totalBytes: 5e8 }, systemClock);

const TRANSPORT = {
  remoteAddress: '192.0.2.1',
  remotePort: 50_000,
  localPort: 5_222,
  tls: undefined,
  pendingBytes: 300,
  isPaused: false,
  setHandlers: () => undefined,
  write: () => undefined,
  flush: () => undefined,
  pause: () => undefined,
  resume: () => undefined,
  startTls: () => undefined,
  end: () => undefined,
  destroy: () => undefined,
} satisfies Transport;

let delivered = 0;

function makeLink(rates: ShaperRates | undefined): Link {
  const link = new Link({ transport: { ...TRANSPORT }, limits: LIMITS_OF_CLIENT, share, now: () => Date.now() });
  link.attach({ deliver: () => ++delivered > 0, whenRoom: () => undefined });
  link.request(1);
  link.bytes(Buffer.from(HEADER));
  link.shape(rates);
  return link;
}

/** Microseconds per frame, of frames that come `each` to a read. */
function readRound(rates: ShaperRates | undefined, each: number): number {
  const link = makeLink(rates);
  const chunk = Buffer.from(STANZA.repeat(each));
  const start = process.cpuUsage();
  for (let i = 0; i < FRAMES; i += each) {
    link.bytes(chunk);
    link.request(each);
  }
  const { user, system } = process.cpuUsage(start);
  link.release();
  return (user + system) / FRAMES;
}

function writeRound(): number {
  const link = makeLink(undefined);
  const start = process.cpuUsage();
  for (let i = 0; i < FRAMES; i++) {
    link.write(STANZA);
    if (link.isOverfull) throw new Error('overfull');
  }
  const { user, system } = process.cpuUsage(start);
  link.release();
  return (user + system) / FRAMES;
}

const CASES: readonly (readonly [string, () => number])[] = [1, 10].flatMap((each) => [
  [`read, ${each} to a chunk, no shaper`, () => readRound(undefined, each)] as const,
  [`read, ${each} to a chunk, shaper`, () => readRound(RATES, each)] as const,
]);

for (const [name, round] of [...CASES, ['write', writeRound] as const]) {
  const rounds = Array.from({ length: ROUNDS }, round);
  report(`${name}, per frame`, Math.min(...rounds), 'us');
}

globalThis.gc?.();
const before = process.memoryUsage().heapUsed;
const links = Array.from({ length: 20_000 }, () => makeLink(undefined));
globalThis.gc?.();
const bare = process.memoryUsage().heapUsed;
for (const link of links) link.shape(RATES);
globalThis.gc?.();
const shaped = process.memoryUsage().heapUsed;
// Without --expose-gc, garbage is in it.
report('heap of a link', (bare - before) / links.length, 'B');
report('heap of its shaper', (shaped - bare) / links.length, 'B');
if (delivered === 0) throw new Error('nothing was delivered');
