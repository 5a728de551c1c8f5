/**
 * Rows of the table of threats about XML, on whole streams before and after login: what the framer refuses (test/xml
 * has every case) ends the stream with the right error, costs nobody else anything, and reaches nobody.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import v8 from 'node:v8';
import vm from 'node:vm';
import type { Frame, FramerLimits } from '../../src/xml/frame.ts';
import { FAILURES } from '../../src/xml/failures.ts';
import { Framer } from '../../src/xml/framer.ts';
import { elementOf } from '../../src/xml/tree.ts';
import { parseJid } from '../../src/xmpp/jid.ts';
import { readStanza } from '../../src/xmpp/stanza.ts';
import type { StreamClient } from '../harness/stream-client.ts';
import { DOMAIN, Scene, threat } from './scene.ts';

const HEADER = `<stream:stream to='${DOMAIN}' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`;
const LAUGHS = `<!DOCTYPE lolz [<!ENTITY lol "lol">${Array.from({ length: 9 }, (_, i) => `<!ENTITY lol${i + 1} "${`&lol${i || ''};`.repeat(10)}">`).join('')}]>`;

/** What no stream may carry, and where in it the first byte stands that proves it. RFC 6120 §11.1 */
const RESTRICTED = [
  { name: 'a document type definition', xml: LAUGHS, proof: '<!D' },
  { name: 'an external entity', xml: `<!DOCTYPE a SYSTEM 'file:///etc/passwd'>`, proof: '<!D' },
  { name: 'a comment', xml: '<!-- -->', proof: '<!-' },
  { name: 'a processing instruction', xml: '<?xml-stylesheet href="x"?>', proof: '<?' },
] as const;

/** A stream at each stage of its life; what is restricted is so in all of them. */
const STAGES: Readonly<Record<string, (scene: Scene) => Promise<StreamClient>>> = {
  'before login': (scene) => scene.opened(),
  'after login': (scene) => scene.loggedIn('romeo'),
  'in a session': async (scene) => {
    const client = await scene.loggedIn('romeo');
    await client.binds('orchard');
    return client;
  },
};

for (const [stage, start] of Object.entries(STAGES)) {
  threat(
    `Billion laughs / DTD, PI, comments: refused ${stage}, between stanzas and inside of them, at the first byte that proves it`,
    async (scene) => {
      for (const { xml, proof } of RESTRICTED) {
        for (const prefix of ['', '<iq><query>', `<iq>text`]) {
          const whole = await start(scene);
          await whole.sends(prefix + xml);
          await whole.isClosedWith('restricted-xml');
          const early = await start(scene);
          await early.sends(prefix + proof);
          await early.isClosedWith('restricted-xml');
          const earlier = await start(scene);
          await earlier.sends(prefix + proof.slice(0, -1));
          assert.deepEqual(earlier.pending, [], 'one byte less proves nothing');
        }
      }
    },
  );

  threat(`Billion laughs / DTD, PI, comments: no entity ${stage} but the five, in text and in attributes`, async (scene) => {
    for (const entity of ['&lol9;', '&nbsp;', '&xxe;', '&AMP;', '&constructor;', '&__proto__;']) {
      for (const xml of [`<iq>${entity}</iq>`, `<iq id='${entity}'/>`, `<iq><query xmlns='${entity}'/></iq>`]) {
        const client = await start(scene);
        await client.sends(xml);
        await client.isClosedWith('restricted-xml');
      }
    }
    assert.equal(scene.runtime.counters.stanzasIn, 0);
  });
}

threat('Billion laughs / DTD, PI, comments: before the stream header, too', async (scene) => {
  for (const { xml } of RESTRICTED.slice(0, 3)) {
    for (const prologue of ['', `<?xml version='1.0'?>`]) {
      const client = await scene.cast.raw();
      await client.sends(`${prologue}${xml}${HEADER}`);
      await client.isClosedWith('restricted-xml');
    }
  }
});

// XML amplification

/** One beyond each limit, and what the peer is told. */
function excesses(limits: FramerLimits): readonly (readonly [text: string, xml: string])[] {
  const { maxBytes, maxDepth, maxElements, maxAttributes, maxNameBytes, maxNamespaces, maxWhitespaceBytes } = limits;
  const declarations = (i: number): string => Array.from({ length: 8 }, (_, k) => ` xmlns:p${i}_${k}='u'`).join('');
  return [
    [FAILURES.maxBytes.text, `<iq>${'x'.repeat(maxBytes)}`],
    [FAILURES.maxBytes.text, `<iq id='${'x'.repeat(maxBytes)}`],
    [FAILURES.maxBytes.text, `<iq><![CDATA[${'x'.repeat(maxBytes)}`],
    [FAILURES.maxBytes.text, `<iq>&#x${'0'.repeat(maxBytes)}`],
    [FAILURES.maxBytes.text, `<iq${' '.repeat(maxBytes)}`],
    [FAILURES.maxDepth.text, '<a>'.repeat(maxDepth + 1)],
    [FAILURES.maxElements.text, `<a>${'<b/>'.repeat(maxElements)}`],
    [FAILURES.maxAttributes.text, `<a${Array.from({ length: maxAttributes + 1 }, (_, i) => ` b${i}=''`).join('')}>`],
    [FAILURES.maxNameBytes.text, `<${'a'.repeat(maxNameBytes + 1)}`],
    [FAILURES.maxNameBytes.text, `<a ${'b'.repeat(maxNameBytes + 1)}`],
    [FAILURES.maxNamespaces.text, Array.from({ length: Math.ceil((maxNamespaces + 1) / 8) }, (_, i) => `<a${declarations(i)}>`).join('')],
    [FAILURES.maxWhitespaceBytes.text, ' '.repeat(maxWhitespaceBytes + 1)],
  ];
}

for (const [stage, start] of Object.entries(STAGES)) {
  threat(`XML amplification: every cap holds ${stage}`, async (scene) => {
    const { beforeLogin, afterLogin } = scene.config.stanza;
    const limits = stage === 'before login' ? beforeLogin : afterLogin;
    for (const [text, xml] of excesses(limits)) {
      const client = await start(scene);
      const { client: wire } = scene.wires.at(-1)!;
      const bytes = Buffer.from(xml);
      for (let at = 0; at < bytes.length; at += 16_384) wire.write(bytes.subarray(at, at + 16_384));
      await scene.settle();
      await client.isClosedWith('policy-violation');
      assert.ok(scene.wires.at(-1)!.text.includes(text), `${xml.slice(0, 30)}: ${text}`);
    }
    assert.equal(scene.runtime.counters.stanzasIn, 0);
  });
}

threat(
  'XML amplification: no cap is infinite by default, those before login are the tighter ones, and clients are told (XEP-0478)',
  async (scene) => {
    const { beforeLogin, afterLogin } = scene.config.stanza;
    for (const [name, before] of Object.entries(beforeLogin) as [keyof FramerLimits, number][]) {
      const after = afterLogin[name];
      assert.ok(Number.isSafeInteger(before) && Number.isSafeInteger(after) && before > 0, name);
      assert.ok(before < after, `${name} before login`);
    }
    assert.ok(beforeLogin.maxBytes <= 10_000 && beforeLogin.maxElements <= 32); // RFC 6120 §13.12 wants 10,000 at least
    assert.ok(afterLogin.maxBytes <= 256 * 1024);
    scene.cast.offline('romeo');
    await scene.cast.ready();
    await scene.opened();
    assert.match(scene.wires.at(-1)!.text, new RegExp(`<max-bytes>${beforeLogin.maxBytes}</max-bytes>`));
    await scene.loggedIn('romeo');
    assert.match(scene.wires.at(-1)!.text, new RegExp(`<max-bytes>${afterLogin.maxBytes}</max-bytes>`));
  },
);

/** Stanzas that try to weigh more in memory than on the wire. */
const HEAVY: Readonly<Record<string, (i: number) => string>> = {
  'many children': () => `<message>${'<a/>'.repeat(4_000)}</message>`,
  'children of different names': (i) =>
    `<message>${Array.from({ length: 4_000 }, (_, k) => `<a${(i * 4_000 + k).toString(36)}/>`).join('')}</message>`,
  'children of different namespaces': (i) =>
    `<message>${Array.from({ length: 4_000 }, (_, k) => `<a xmlns='u${(i * 4_000 + k).toString(36)}'/>`).join('')}</message>`,
  attributes: (i) => `<message ${Array.from({ length: 60 }, (_, k) => `b${k}='${i}'`).join(' ')}/>`,
  'one wide character': () => `<message><body>${'x'.repeat(20_000)}\u6211</body></message>`,
  references: () => `<message><body>${'&lt;'.repeat(5_000)}</body></message>`,
  sections: () => `<message><body>${'<![CDATA[>]]>'.repeat(1_500)}</body></message>`,
  'nested elements': () => `<message>${('<a>'.repeat(60) + '</a>'.repeat(60)).repeat(60)}</message>`,
};
/** Of a held stanza and of its tree, to bytes on the wire. */
const MAX_STANZA_FACTOR = 16;
const MAX_TREE_FACTOR = 80;

v8.setFlagsFromString('--expose_gc');
const collectGarbage = vm.runInNewContext('gc') as () => void;

for (const [name, make] of Object.entries(HEAVY)) {
  test(`XML amplification: memory stays proportional to what was received: ${name}`, () => {
    const stanzas = Array.from({ length: 20 }, (_, i) => Buffer.from(make(i)));
    const wire = stanzas.reduce((sum, { length }) => sum + length, 0);
    const limits = new Scene().config.stanza.afterLogin;
    const measured = (what: (frame: Frame) => unknown): number => {
      const framer = new Framer({ limits });
      framer.push(Buffer.from(HEADER));
      framer.next();
      const held: unknown[] = [];
      collectGarbage();
      const before = memory();
      for (const bytes of stanzas) {
        framer.push(Buffer.from(bytes));
        const frame = framer.next();
        assert.equal(frame?.kind, 'element');
        held.push(what(frame as Frame));
      }
      assert.equal(framer.buffered, 0);
      collectGarbage();
      const used = memory() - before;
      assert.equal(held.length, stanzas.length);
      return used;
    };
    const [from, to] = [parseJid('romeo@capulet.lit/orchard')!, parseJid('juliet@capulet.lit')!];
    const stanzaBytes = measured((frame) => readStanza(frame, from, to));
    assert.ok(stanzaBytes < wire * MAX_STANZA_FACTOR, `${stanzaBytes} bytes held for ${wire} received`);
    const treeBytes = measured((frame) => elementOf(frame));
    assert.ok(treeBytes < wire * MAX_TREE_FACTOR, `trees of ${treeBytes} bytes for ${wire} received`);
  });
}

function memory(): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

threat('XML amplification: a namespace declared once and used often cannot grow on its way to others', async (scene) => {
  const { romeo, juliet } = scene.cast;
  await juliet.becomesAvailable();
  const uri = `urn:${'x'.repeat(4_000)}`;
  await romeo.sends(`<message to='${juliet.bare}' xmlns:p='${uri}' type='chat'>${'<p:a/>'.repeat(2)}</message>`);
  await juliet.receives(`<message type='chat' from='${romeo.full}'><a xmlns='${uri}'/><a xmlns='${uri}'/></message>`);
  const sent = await scene.loggedIn('mercutio');
  await sent.binds();
  await sent.sends(`<message to='${juliet.bare}' xmlns:p='${uri}'>${'<p:a/>'.repeat(100)}</message>`);
  await sent.isClosedWith('policy-violation');
  await juliet.receivesNothing();
});

threat('XML amplification: an error does not send back what caused it', async (scene) => {
  const { romeo } = scene.cast;
  await scene.cast.ready();
  const wire = scene.wireOf(romeo.full);
  const payload = `<x xmlns='urn:x'>${'y'.repeat(100_000)}</x>`;
  for (const stanza of [
    `<message to='nobody@${DOMAIN}' id='i'>${payload}</message>`,
    `<iq to='nobody@${DOMAIN}' type='get' id='i'>${payload}</iq>`,
    `<iq to='${DOMAIN}' type='get' id='i'>${payload}</iq>`,
    `<iq to='elsewhere.example' type='get' id='i'>${payload}</iq>`,
    `<iq to='@@' type='get' id='i'>${payload}</iq>`,
    `<presence type='nonsense' id='i'>${payload}</presence>`,
  ]) {
    const from = wire.text.length;
    await romeo.sends(stanza);
    await romeo.takes('an error', ({ attrs }) => attrs['type'] === 'error');
    assert.ok(wire.text.length - from < 500, stanza.slice(0, 40));
  }
});

threat('Stanza smuggling: a stream inside of a stanza, by whatever prefix, ends the stream and reaches nobody', async (scene) => {
  const { juliet } = scene.cast;
  await juliet.becomesAvailable();
  const streams = 'http://etherx.jabber.org/streams';
  for (const inner of [
    '<stream:stream>',
    `<s:stream xmlns:s='${streams}'/>`,
    `<stream xmlns='${streams}'/>`,
    `<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>`,
    `<x xmlns='http://etherx.jabber.org/&#x73;treams'/>`,
  ]) {
    const client = await scene.loggedIn('romeo');
    await client.binds();
    await client.sends(`<message to='${juliet.bare}'><body>a</body>${inner}<body>b</body></message>`);
    await client.isClosedWith('bad-format');
  }
  await juliet.receivesNothing();
});

threat('Stanza smuggling: bytes that are no UTF-8 end the stream and reach nobody', async (scene) => {
  const { juliet } = scene.cast;
  await juliet.becomesAvailable();
  // Overlong '<', a lone surrogate, a tail cut off, beyond U+10FFFF (CVE-2022-25235 and its kin).
  for (const hex of ['c0bc', 'e080bc', 'f08080bc', 'eda080', 'e2823c', 'f4908080', 'ff', '80']) {
    for (const [before, after] of [
      [`<message to='${juliet.bare}'><body>`, '</body></message>'],
      [`<message to='${juliet.bare}' id='`, `'/>`],
      [`<message to='${juliet.bare}'><a`, '/></message>'],
    ] as const) {
      const client = await scene.loggedIn('romeo');
      await client.binds();
      scene.wires.at(-1)!.client.write(Buffer.concat([Buffer.from(before), Buffer.from(hex, 'hex'), Buffer.from(after)]));
      await scene.settle();
      await client.isClosedWith('unsupported-encoding');
    }
  }
  await juliet.receivesNothing();
});

threat('Stanza smuggling: something that is no XMPP at all (HTTP, TLS) is answered once and closed', async (scene) => {
  for (const text of [
    'POST / HTTP/1.1\r\nHost: capulet.lit\r\nContent-Type: text/xml\r\n\r\n<stream:stream/>',
    '\u0016\u0003\u0001\u0002\u0000\u0001',
    'EHLO capulet.lit\r\n',
    '{"a":1}',
  ]) {
    const client = await scene.cast.raw();
    await client.sends(text);
    await client.isClosedWith('not-well-formed');
  }
});
