/**
 * The framer and the tree against saxes, an independent strict parser, on generated and mutated streams:
 *
 *   1. whatever saxes refuses, the framer refuses;
 *   2. whatever the framer accepts is the same tree to saxes, to `elementOf`, after printing and reading again, and
 *      when a frame's body is put into an element of our own;
 *   3. whatever the framer alone refuses, it refuses for a rule of XMPP, or one of ALLOWED;
 *   4. however the bytes are cut, the same comes out.
 *
 * ROOKERY_FUZZ_RUNS and ROOKERY_FUZZ_SEED lengthen and move the search; a failure names its seed.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Element } from '../../src/xml/element.ts';
import type { Frame, FramerLimits } from '../../src/xml/frame.ts';
import { FAILURES } from '../../src/xml/failures.ts';
import { LIMITS_OF_CLIENT } from '../../src/xml/limits.ts';
import { XML_NS } from '../../src/xml/namespaces.ts';
import { escapeAttr, serialize } from '../../src/xml/serialize.ts';
import { elementOf, parseElement } from '../../src/xml/tree.ts';
import { framesOf, plainOf, readBySaxes, type Plain, type Result } from '../xml/reading.ts';
import { generateStream, mutate, pick, randomOf, type Random } from './xml-generator.ts';

const RUNS = Number(process.env['ROOKERY_FUZZ_RUNS'] ?? 2500);
const SEED = Number(process.env['ROOKERY_FUZZ_SEED'] ?? 20260101);

/** Streams that once told two readers apart, or came close. */
const FOUND = [
  `<stream:stream xmlns:stream='http://etherx.jabber.org/streams'><a>x<![CDATA[]]]]>></a></stream:stream>`,
  `<stream:stream xmlns:stream='http://etherx.jabber.org/streams'><a b='&#62;' c='1'/></stream:stream>`,
  `<stream:stream xmlns:stream='http://etherx.jabber.org/streams'><a\u1680b='1'/></stream:stream>`,
  `<stream:stream xmlns:stream='http://etherx.jabber.org/streams'><a>\r<![CDATA[\n]]></a></stream:stream>`,
  `<stream:stream xmlns:stream='http://etherx.jabber.org/streams'><constructor __proto__='1'/></stream:stream>`,
  `<stream:stream xmlns:stream='http://etherx.jabber.org/streams'>< a/></stream:stream>`,
].map((text) => Buffer.from(text));

/** Stricter than saxes by intent, though no rule of XMPP says so. */
const ALLOWED: ReadonlySet<string> = new Set([
  FAILURES.name.text, // saxes takes white space after '<', and names of the fifth edition
  FAILURES.prolog.text, // a byte order mark: RFC 6120 §11.6
]);
const XMPP_CONDITIONS: ReadonlySet<string> = new Set([
  'restricted-xml',
  'bad-format',
  'invalid-namespace',
  'unsupported-encoding',
  'policy-violation',
]);

function streamOf(random: Random): Buffer {
  const bytes = Buffer.from(generateStream(random, { oddity: random() < 0.3 ? 0.05 : 0 }));
  return random() < 0.6 ? mutate(random, bytes) : bytes;
}

/** saxes takes white space off the ends of namespaces, against Namespaces in XML 1.0 §2.3. */
function withTrimmedNamespaces([name, ns, attrs, content]: Plain): Plain {
  return [
    name,
    ns.trim(),
    attrs.map(([key, value]) => [key.replace(/^\{([^}]*)\}/, (_, uri: string) => `{${uri.trim()}}`), value] as const),
    content.map((item) => (typeof item === 'string' ? item : withTrimmedNamespaces(item))),
  ];
}

function treeOf(frame: Frame, label: string): Element {
  const element = elementOf(frame);
  assert.ok(element !== undefined, `${label}: the tree cannot be built of ${JSON.stringify(frame)}`);
  return element;
}

function compare(bytes: Buffer, label: string): void {
  const results = framesOf([bytes]);
  const last = results.at(-1);
  const expected = readBySaxes(bytes);
  if (last?.kind === 'error' && expected !== undefined) {
    assert.ok(
      XMPP_CONDITIONS.has(last.condition) || ALLOWED.has(last.text),
      `${label}: only the framer refuses: ${last.condition}, ${last.text}`,
    );
  }
  if (last?.kind !== 'close') return;
  assert.ok(expected !== undefined, `${label}: only saxes refuses`);
  const frames = results.filter((result): result is Frame => result.kind === 'element');
  const trees = frames.map((frame) => treeOf(frame, label));
  const plains = trees.map(plainOf);
  assert.deepEqual(plains.map(withTrimmedNamespaces), expected.elements.map(withTrimmedNamespaces), `${label}: two trees`);
  trees.forEach((tree, i) => {
    const again = parseElement(serialize(tree));
    assert.deepEqual(again && plainOf(again), plains[i], `${label}: printed and read again`);
  });
  frames.forEach((frame, i) => {
    const moved = parseElement(`<error xmlns='${escapeAttr(frame.contentNs)}'>${frame.body}</error>`);
    assert.deepEqual(moved && plainOf(moved)[3], plains[i]![3], `${label}: body moved`);
    assert.deepEqual(
      frame.children,
      trees[i]!.elements().map(({ name, ns }) => ({ name, ns })),
      `${label}: heads`,
    );
    assert.equal(frame.hasText, /[^ \t\r\n]/.test(trees[i]!.text()), `${label}: hasText`);
    if (frame.ns !== XML_NS) assert.equal(frame.contentNs, frame.ns);
  });
}

function cutAtRandom(random: Random, bytes: Buffer): Buffer[] {
  const chunks: Buffer[] = [];
  const longest = pick(random, [1, 2, 5, 40, 200]);
  for (let at = 0; at < bytes.length;) {
    const next = at + 1 + Math.floor(random() * longest);
    chunks.push(bytes.subarray(at, next));
    at = next;
  }
  return chunks;
}

function show(results: readonly Result[]): string {
  return JSON.stringify(results);
}

test('found inputs agree', () => {
  for (const bytes of FOUND) compare(bytes, bytes.toString());
});

test('generated and mutated streams: the framer, the tree and saxes agree', () => {
  let accepted = 0;
  for (let i = 0; i < RUNS; i++) {
    const seed = SEED + i;
    const bytes = streamOf(randomOf(seed));
    compare(bytes, `seed ${seed}: ${JSON.stringify(bytes.toString())}`);
    if (framesOf([bytes]).at(-1)?.kind === 'close') accepted++;
  }
  assert.ok(accepted > RUNS / 5, `only ${accepted} of ${RUNS} streams were accepted: the generator has gone astray`);
});

/** Low enough that generated streams meet them. */
function tightLimits(random: Random): FramerLimits {
  const upTo = (most: number) => 1 + Math.floor(random() * most);
  return {
    maxBytes: 60 + upTo(400),
    maxDepth: upTo(6),
    maxElements: upTo(12),
    maxAttributes: 2 + upTo(5),
    maxNameBytes: 12 + upTo(8),
    maxNamespaces: 1 + upTo(6),
    maxWhitespaceBytes: upTo(4),
  };
}

test('generated and mutated streams: cuts change nothing, neither within limits nor at them', () => {
  for (let i = 0; i < RUNS; i++) {
    const seed = SEED + i;
    const random = randomOf(seed);
    const bytes = streamOf(random);
    const limits = random() < 0.5 ? LIMITS_OF_CLIENT : tightLimits(random);
    assert.equal(
      show(framesOf(cutAtRandom(random, bytes), limits)),
      show(framesOf([bytes], limits)),
      `seed ${seed}: ${JSON.stringify(bytes.toString())}`,
    );
  }
});

test('bytes at random end in an error or nothing, never in an exception', () => {
  for (let i = 0; i < RUNS; i++) {
    const random = randomOf(SEED + i);
    const bytes = Buffer.from(
      Array.from({ length: 40 }, () =>
        random() < 0.5 ? pick(random, [0x3c, 0x3e, 0x2f, 0x26, 0x3b, 0x27, 0x3d, 0x20, 0x61, 0x3a]) : Math.floor(random() * 256),
      ),
    );
    for (const result of framesOf([bytes])) assert.equal(result.kind, 'error', `seed ${SEED + i}`);
  }
});
