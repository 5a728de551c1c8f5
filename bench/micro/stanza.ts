/**
 * A forwarded stanza: its header read from a frame, re-written with the sender's address, and the same over the bridge.
 * Run: node bench/micro/stanza.ts [--json]
 */
import { Framer } from '../../src/xml/framer.ts';
import type { Frame } from '../../src/xml/frame.ts';
import { LIMITS_OF_CLIENT } from '../../src/xml/limits.ts';
import { parseJid } from '../../src/xmpp/jid.ts';
import { readStanza, Stanza } from '../../src/xmpp/stanza.ts';
import { readStanzaFromWire, writeStanza } from '../../src/xmpp/wire.ts';
import { measureNs, report } from './results.ts';

const CALLS = 500_000;
const HEADER = `<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='capulet.lit' version='1.0'>`;
const MESSAGE = `<message to='juliet@capulet.lit/balcony' type='chat' id='ktx72v49'><body>But soft, what light through yonder window breaks? It is the east.</body></message>`;

const from = parseJid('romeo@montague.lit/orchard')!;
const framer = new Framer({ limits: LIMITS_OF_CLIENT });
framer.push(Buffer.from(HEADER + MESSAGE));
framer.next();
const frame = framer.next() as Frame;
const stanza = readStanza(frame, from, from.toBare()) as Stanza;
if (!(stanza instanceof Stanza) || stanza.id !== 'ktx72v49') throw new Error('the message was not read');

let sink = 0;
report(
  'header of a message read',
  measureNs(CALLS, () => (sink += readStanza(frame, from, stanza.to).kind.length)),
  'ns',
);
report(
  'message written for a stream',
  measureNs(CALLS, () => (sink += stanza.toXml().length)),
  'ns',
);
report(
  'both, as for every message',
  measureNs(CALLS, () => (sink += (readStanza(frame, from, stanza.to) as Stanza).toXml().length)),
  'ns',
);
const out: unknown[] = [];
report(
  'written for another thread',
  measureNs(CALLS, () => {
    out.length = 0;
    writeStanza(stanza, out);
    sink += out.length;
  }),
  'ns',
);
report(
  'read from another thread',
  measureNs(CALLS, () => (sink += readStanzaFromWire(out, { at: 0 }).body.length)),
  'ns',
);
if (sink === 0) throw new Error('unreachable');
