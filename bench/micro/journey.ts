/**
 * A chat message's whole way within one worker, without sockets: bytes of one client in, both accounts' logs on disk, text for
 * the other client out. Every module runs, or those named; the applier's work counts, too, since it is in the same process.
 *
 *   node bench/micro/journey.ts [--json] [--pairs=100] [--window=1] [--batches=150] [--modules=archive,roster,presence]
 *
 * CPU of the process per message, all its threads: the least and the median of batches of 2,000. The least is the figure to
 * compare, since nothing else on the machine can make it better.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { loadConfig } from '../../src/config/load.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { Kernel } from '../../src/kernel/kernel.ts';
import { MODULES } from '../../src/modules/index.ts';
import { FlushQueue } from '../../src/net/flush-queue.ts';
import { memoryPair, type MemoryClient } from '../../src/net/memory-pair.ts';
import { derive, verify } from '../../src/pool.ts';
import { moduleSchemas } from '../../src/server/module-schemas.ts';
import { Runtime } from '../../src/server/runtime.ts';
import { openLmdb } from '../../src/store/lmdb/open.ts';
import { opaqueString } from '../../src/xmpp/precis.ts';
import { makeJid } from '../../src/xmpp/jid.ts';

const DOMAIN = 'capulet.lit';
const BATCH = 2_000;
const BODY = 'x'.repeat(100);
const STREAM = `<?xml version='1.0'?><stream:stream to='${DOMAIN}' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`;

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    pairs: { type: 'string', default: '100' },
    window: { type: 'string', default: '1' },
    batches: { type: 'string', default: '150' },
    modules: { type: 'string', default: '' },
  },
});
const pairs = Number(values.pairs);
const window = Number(values.window);
const batches = Number(values.batches);

const path = mkdtempSync(join(tmpdir(), 'rookery-journey-'));
const { config } = loadConfig({
  env: {},
  modules: moduleSchemas(),
  values: { domains: [DOMAIN], c2s: { isTlsRequired: false }, accounts: { scramIterations: 1 }, log: { level: 'silent' } },
});
const kernel = new Kernel({ clock: systemClock, observer: {}, askOrder: ['c2s', 'account'] });
const store = await openLmdb({ path, gather: (write) => kernel.defer(write) });
const flushQueue = new FlushQueue(setImmediate, () => kernel.isInSlice);
kernel.onSliceEnd(() => flushQueue.flush());
const silent = (): void => undefined;
const runtime = new Runtime({
  config,
  kernel,
  store,
  pool: {
    derive: async (password, iterations) => derive({ password, iterations }),
    verify: async (password, record) => verify({ password, record }),
  },
  log: { debug: silent, info: silent, warn: silent, error: silent },
  commands: { run: () => Promise.reject(new Error('nobody gives commands here')) } as never,
  modules: values.modules === '' ? MODULES : MODULES.filter(({ name }) => values.modules.split(',').includes(name)),
  secret: Buffer.alloc(32, 7),
  now: () => systemClock.now(),
});
const scram = derive({ password: opaqueString('secret')!, iterations: 1 });

/** One that is logged in and available; `onText` gets what follows. */
async function logIn(local: string): Promise<MemoryClient> {
  await runtime.ask(makeJid(local, DOMAIN)!.bare, { kind: 'create_account', scram });
  const { server, client } = memoryPair({ flushQueue });
  let text = '';
  let wake = silent;
  client.handlers = { text: (more) => ((text += more), wake()) };
  runtime.accept(server);
  const until = async (end: string): Promise<void> => {
    while (!text.includes(end)) await new Promise<void>((resolve) => (wake = resolve));
    text = '';
  };
  client.write(STREAM);
  await until('</stream:features>');
  client.write(
    `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>${Buffer.from(`\0${local}\0secret`).toString('base64')}</auth>`,
  );
  await until('<success');
  client.write(STREAM);
  await until('</stream:features>');
  client.write("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>bench</resource></bind></iq><presence/>");
  await until('<presence');
  return client;
}

let delivered = 0;
let faults = 0;
let next = 0;
let whenNext = silent;

async function startPair(index: number): Promise<void> {
  const [from, to] = [await logIn(`romeo${index}`), await logIn(`juliet${index}`)];
  let sent = 0;
  let received = 0;
  const send = (): void =>
    from.write(`<message to='juliet${index}@${DOMAIN}/bench' type='chat' id='m${++sent}'><body>${BODY}</body></message>`);
  to.handlers = {
    text(text) {
      for (let at = text.indexOf('<message'); at >= 0; at = text.indexOf('<message', at + 8)) {
        received++;
        const id = text.indexOf(" id='m", at) + 6;
        if (text.slice(id, text.indexOf("'", id)) !== String(received)) faults++;
        if (++delivered === next) whenNext();
        setImmediate(send);
      }
    },
  };
  for (let i = 0; i < window; i++) setImmediate(send);
}

for (let index = 0; index < pairs; index++) await startPair(index);
const micros: number[] = [];
for (let batch = 0; batch < batches; batch++) {
  const before = process.cpuUsage();
  next = delivered + BATCH;
  await new Promise<void>((resolve) => (whenNext = resolve));
  const { user, system } = process.cpuUsage(before);
  micros.push((user + system) / BATCH);
}
const sorted = micros.slice(Math.floor(batches / 3)).sort((a, b) => a - b); // the first ones warm up
const result = { pairs, window, 'us/message, least': sorted[0], 'us/message, median': sorted[sorted.length >> 1], faults };
console.log(values.json ? JSON.stringify(result) : result);
rmSync(path, { recursive: true, force: true });
process.exit(faults === 0 ? 0 : 1);
