/**
 * Framing and tree building: microseconds per stanza and megabytes per second, medians of several runs;
 * on a machine with other work to do, the quiet figure is the one to compare.
 *
 *   node bench/micro/xml.ts [--json]
 *
 * Framing is measured on chunks of whole stanzas as a socket delivers them (up to 64 KiB), and again on
 * stanzas cut by packets. The tree is what `elementOf` adds where a handler asks for one.
 */
import { Framer } from '../../src/xml/framer.ts';
import type { Frame } from '../../src/xml/frame.ts';
import { LIMITS_OF_CLIENT } from '../../src/xml/limits.ts';
import { serialize } from '../../src/xml/serialize.ts';
import { elementOf } from '../../src/xml/tree.ts';
import { report } from './results.ts';

const RUNS = 9;
const RUN_MS = 120;
const BATCH_MS = 0.5;
const CHUNK_BYTES = 64 * 1024;
const PACKET_BYTES = 1448;

const HEADER = `<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='capulet.lit' version='1.0'>`;

function chat(body: string, extra = ''): string {
  return `<message to='juliet@capulet.lit/balcony' from='romeo@montague.lit/orchard' type='chat' id='ktx72v49'><body>${body}</body>${extra}</message>`;
}

const LINE = 'But soft, what light through yonder window breaks? ';
const SAMPLES: Readonly<Record<string, string>> = {
  'chat, 180 B': chat('But soft, what light through yonder window breaks? It is the east, and'),
  'chat, 300 B': chat(
    LINE.slice(0, 36),
    "<active xmlns='http://jabber.org/protocol/chatstates'/><request xmlns='urn:xmpp:receipts'/><origin-id xmlns='urn:xmpp:sid:0' id='ktx72v49'/>",
  ),
  presence: `<presence id='p1'><show>away</show><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='http://psi-im.org' ver='q07IKJEyjvHSyhy//CH0CxmKi8w='/></presence>`,
  'chat, 4 KiB': chat(LINE.repeat(80)),
  'chat, 64 KiB': chat(LINE.repeat(1285)),
  'Cyrillic, 1 KiB': chat('Но что за блеск я вижу на балконе? '.repeat(16)),
  'Japanese, 1 KiB': chat('ああロミオ、あなたはどうしてロミオなの？'.repeat(17)),
  'references, 1 KiB': chat('if (a &lt; b &amp;&amp; c &gt; d) &quot;x&quot; '.repeat(20)),
  'prefixed (re-written)': `<message to='juliet@capulet.lit' xmlns:c='http://jabber.org/protocol/chatstates'><body>Hi</body><c:active/></message>`,
};

interface Row {
  readonly what: string;
  readonly bytes: number;
  readonly microseconds: number;
  readonly megabytesPerSecond: number;
  /** As undisturbed as the machine allows: the second percentile of short batches. */
  readonly quietMicroseconds: number;
}

/** `run` handles `unit` stanzas of `bytes` bytes each. */
function measure(what: string, bytes: number, unit: number, run: () => void): Row {
  const medians: number[] = [];
  const batches: number[] = [];
  for (let i = -2; i < RUNS; i++) {
    const times: number[] = [];
    const end = performance.now() + RUN_MS;
    for (let now = performance.now(); now < end;) {
      let count = 0;
      const start = now;
      while (now - start < BATCH_MS) {
        run();
        count += unit;
        now = performance.now();
      }
      times.push(((now - start) * 1000) / count);
    }
    if (i < 0) continue;
    medians.push(percentile(times, 0.5));
    batches.push(...times);
  }
  const microseconds = percentile(medians, 0.5);
  return { what, bytes, microseconds, megabytesPerSecond: bytes / microseconds, quietMicroseconds: percentile(batches, 0.02) };
}

function percentile(values: readonly number[], share: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * share)]!;
}

function openFramer(): Framer {
  const framer = new Framer({ limits: LIMITS_OF_CLIENT });
  framer.push(Buffer.from(HEADER));
  if (framer.next()?.kind !== 'open') throw new Error('the header was not read');
  return framer;
}

let sink = 0;

function drain(framer: Framer): void {
  for (;;) {
    const frame = framer.next();
    if (frame === undefined) return;
    if (frame.kind === 'error') throw new Error(frame.text);
    sink += frame.body.length;
  }
}

const rows: Row[] = [];

for (const [name, text] of Object.entries(SAMPLES)) {
  const stanza = Buffer.from(text);
  const count = Math.max(1, Math.floor(CHUNK_BYTES / stanza.length));
  const chunk = Buffer.concat(Array.from({ length: count }, () => stanza));
  const framer = openFramer();
  rows.push(
    measure(`frame, ${name}`, stanza.length, count, () => {
      framer.push(chunk);
      drain(framer);
    }),
  );
}

for (const name of ['chat, 300 B', 'chat, 64 KiB']) {
  const stanza = Buffer.from(SAMPLES[name]!);
  const count = Math.max(1, Math.floor(CHUNK_BYTES / stanza.length));
  const all = Buffer.concat(Array.from({ length: count }, () => stanza));
  const packets: Buffer[] = [];
  for (let at = 0; at < all.length; at += PACKET_BYTES) packets.push(all.subarray(at, at + PACKET_BYTES));
  const framer = openFramer();
  rows.push(
    measure(`frame, ${name}, in packets`, stanza.length, count, () => {
      for (const packet of packets) {
        framer.push(packet);
        drain(framer);
      }
    }),
  );
}

{
  const stanza = Buffer.from(SAMPLES['chat, 300 B']!);
  const framer = openFramer();
  rows.push(
    measure('frame, chat, 300 B, one per chunk', stanza.length, 100, () => {
      for (let i = 0; i < 100; i++) {
        framer.push(stanza);
        drain(framer);
      }
    }),
  );
}

for (const name of ['chat, 300 B', 'presence', 'chat, 4 KiB']) {
  const text = SAMPLES[name]!;
  const framer = openFramer();
  framer.push(Buffer.from(text));
  const frame = framer.next() as Frame;
  rows.push(
    measure(`tree, ${name}`, Buffer.byteLength(text), 10, () => {
      for (let i = 0; i < 10; i++) sink += elementOf(frame)!.children.length;
    }),
  );
  const element = elementOf(frame)!;
  rows.push(
    measure(`print, ${name}`, Buffer.byteLength(text), 10, () => {
      for (let i = 0; i < 10; i++) sink += serialize(element, 'jabber:client').length;
    }),
  );
}

for (const { what, microseconds } of rows) report(what, microseconds, 'us');
if (sink < 0) throw new Error('unreachable');
