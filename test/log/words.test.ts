import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOG } from '../../src/log/entry.ts';
import { PackedEntries, siftRows, type SiftFilter } from '../../src/log/sift.ts';
import { fold, hasWords, wordsOf } from '../../src/log/words.ts';
import { Stanza, type StanzaInit } from '../../src/xmpp/stanza.ts';
import { jid } from './fixture.ts';

const finds = (text: string, search: string): boolean => hasWords(fold(text), wordsOf(search));

test('XEP-0431 §3.2: words are found without case and accents, by their beginning', () => {
  const found: [string, string][] = [
    ['Wherefore art thou Romeo?', 'romeo'],
    ['Wherefore art thou Romeo?', 'ROMEO WHERE'],
    ['Wherefore art thou Romeo?', '"thou, Romeo!"'],
    ['Roméo', 'romeo'],
    ['romeo', 'ROMÉO'],
    ['Ἰουλία ΡΩΜΑΙΟΣ', 'ιουλια ρωμαιος'],
    ['Straße', 'strasse'],
    ['STRASSE', 'straße'],
    ['İstanbul', 'istanbul'],
    ['łódź øst ærlig', 'lodz ost aerlig'],
    ['ｗｉｄｅ', 'wide'],
    ['e\u0301toile', 'étoile'],
    ['Верона', 'верон'],
    ['ロミオとジュリエット', 'ジュリエット'],
    ['今夜バルコニーで', 'バルコニー'],
    ['tonight 💌', '💌'],
    ['https://capulet.lit/ball?night=2', 'capulet ball 2'],
    ['C++ and C#', 'c++'],
    ['1 < 2 > 0', '2'],
  ];
  for (const [text, search] of found) assert.ok(finds(text, search), `${search} in ${text}`);
  const missed: [string, string][] = [
    ['Wherefore art thou Romeo?', 'omeo'],
    ['Wherefore art thou Romeo?', 'romeo juliet'],
    ['part', 'art'],
    ['a.*b', '.+'],
  ];
  for (const [text, search] of missed) assert.ok(wordsOf(search).length === 0 || !finds(text, search), `${search} in ${text}`);
});

test('XEP-0431 §3.2: nothing but punctuation is no word; there are no more words than sixteen, none twice', () => {
  for (const search of ['', ' ', '!?', '.*', '"', '<>', '\u200b', '\u0301']) assert.deepEqual(wordsOf(search), [], JSON.stringify(search));
  assert.deepEqual(wordsOf('Night night NIGHT'), ['night']);
  assert.equal(wordsOf(Array.from({ length: 40 }, (_, i) => `w${i}`).join(' ')).length, 16);
});

test('texts and words that nearly match everywhere', () => {
  const text = 'ab'.repeat(100_000);
  assert.equal(finds(text, 'b'.repeat(100)), false);
  assert.equal(finds(text, 'bab'), false);
  assert.equal(finds('á '.repeat(100_000), 'áb'), false);
});

const CLIENT = 'jabber:client';

function sift(messages: readonly (Partial<StanzaInit> & { readonly isArchived?: boolean })[], filter: SiftFilter): number[] {
  const packed = new PackedEntries();
  for (const { isArchived = true, ...init } of messages) {
    const stanza = new Stanza({
      kind: 'message',
      type: 'chat',
      from: jid('a@b/c'),
      to: jid('d@e'),
      children: [{ name: 'body', ns: CLIENT }],
      ...init,
    });
    const entry = {
      position: 1,
      atMs: 1,
      direction: 'in' as const,
      stanza,
      isArchived,
      isTombstone: false,
      source: 0,
      origin: undefined,
      settledBelow: 0,
      deliveries: [],
    };
    packed.decode(LOG.encode(entry), LOG.version);
    packed.skip(); // one that is gone between any two
  }
  return siftRows({ rows: structuredClone(packed.finish()), filter }).map((index) => index / 2);
}

test('XEP-0431 §3.2: bodies and subjects are looked into, in any language, and nothing else', () => {
  const subject = { name: 'subject', ns: CLIENT };
  const body = { name: 'body', ns: CLIENT };
  const messages = [
    { body: '<body>the balcony</body>' },
    { body: '<subject>Balcony</subject>', children: [subject] },
    { body: `<body>one</body><body xml:lang='it'>BALCÓNY</body>`, children: [body, body] },
    {
      body: `<body>no</body><x xmlns='urn:example'>balcony<body xmlns='${CLIENT}'>balcony</body></x>`,
      children: [body, { name: 'x', ns: 'urn:example' }],
    },
    { body: '<body>balcony</body>', isArchived: false },
    { body: '<body>&#98;alcony</body>' },
    { body: '<body>&lt;balcony&gt; &amp; night</body>' },
    { body: `<balcony xmlns='urn:example'/>`, children: [{ name: 'balcony', ns: 'urn:example' }] },
    { body: 'x'.repeat(100_000) + '<body>balcony</body>' },
  ];
  assert.deepEqual(sift(messages, { words: wordsOf('balcony') }), [0, 1, 2, 5, 6, 8]);
  assert.deepEqual(sift(messages, { words: wordsOf('lt amp') }), []);
});

test('XEP-0313 §4.1.1: a full address matches what came from it and what went to it', () => {
  const messages = [{}, { from: jid('a@b/other') }, { from: jid('d@e'), to: jid('a@b/c') }, { from: jid('a@b') }];
  assert.deepEqual(sift(messages, { address: 'a@b/c' }), [0, 2]);
});
