/**
 * parseJid: hit and miss of its cache, and the paths of a miss.
 * Run: node bench/micro/jid.ts [--json]. ns per call, best of five rounds.
 */
import { makeJid, normalizeDomain, normalizeLocal, normalizeResource, parseJid, setJidCacheSize } from '../../src/xmpp/jid.ts';
import { report } from './results.ts';

const ROUNDS = 5;

function measure(name: string, calls: number, run: (i: number) => unknown): void {
  let best = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    const start = process.hrtime.bigint();
    let found = 0;
    for (let i = 0; i < calls; i++) if (run(i) !== undefined) found++;
    const ns = Number(process.hrtime.bigint() - start) / calls;
    if (found !== calls && found !== 0) throw new Error(`${name}: ${found} of ${calls}`);
    best = Math.min(best, ns);
  }
  report(name, best, 'ns');
}

const many = Array.from({ length: 4096 }, (_, i) => `user${i}@chat${i % 7}.example.com/device-${i * 7919}`);
/** Fresh strings without a hash, as a parser hands them over. */
const wire = Buffer.from(many.join('\n'), 'latin1');
const spans: [number, number][] = [];
for (let at = 0, i = 0; i < many.length; i++) {
  spans.push([at, at + many[i]!.length]);
  at += many[i]!.length + 1;
}
const fresh = (i: number): string => {
  const span = spans[i & 4095]!;
  return wire.toString('latin1', span[0], span[1]);
};

measure('a fresh string and its hash, for comparison', 400_000, (i) => fresh(i).length);
measure('hit, one address, string known', 2_000_000, () => parseJid(many[0]!));
measure('hit, 4096 addresses, strings known', 2_000_000, (i) => parseJid(many[i & 4095]!));
measure('hit, 4096 addresses, fresh strings', 400_000, (i) => parseJid(fresh(i)));
setJidCacheSize(0);
measure('miss, ASCII full address', 400_000, (i) => parseJid(many[i & 4095]!));
measure('miss, ASCII bare address', 400_000, () => parseJid('juliet@capulet.example'));
measure('miss, upper case', 400_000, () => parseJid('Juliet@Capulet.Example/Balcony'));
measure('miss, Unicode in all parts', 20_000, () => parseJid('джульетта@капулетти.example/балкон'));
measure('miss, malformed', 400_000, () => parseJid('foo bar@example.com'));
setJidCacheSize(8192);
measure('miss with eviction, ASCII full address', 200_000, (i) => parseJid('u' + i + '@example.com/x'));
const juliet = parseJid('juliet@example.com')!;
measure('withResource', 400_000, () => juliet.withResource('balcony'));
measure('toBare of a cached full address', 2_000_000, () => parseJid(many[0]!)!.toBare());
measure('makeJid', 400_000, () => makeJid('juliet', 'example.com', 'balcony'));
measure('normalizeLocal', 2_000_000, () => normalizeLocal('juliet'));
measure('normalizeDomain', 2_000_000, () => normalizeDomain('chat.example.com'));
measure('normalizeResource', 2_000_000, () => normalizeResource('balcony-1234'));
