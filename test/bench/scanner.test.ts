/** The generator's own framing: elements as they come, however they are cut, and what is read from them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attributeAt, attributeText, contains, FROM, ID, numberAt, numberOf, Scanner, TYPE } from '../../bench/load/scanner.ts';

const HEADER = `<?xml version='1.0'?><stream:stream from='capulet.lit' id="1>2" xmlns='jabber:client'>`;
const ELEMENTS = [
  `<stream:features><a><b/></a><c x='/'/></stream:features>`,
  `<message id='m1' from='a@b/c'><body>x > y &lt; z</body></message>`,
  `<presence/>`,
  `<iq type='result' id="it's > / <fine"/>`,
  `<message to='j'><forwarded><message><body>inner</body></message></forwarded></message>`,
  `<a h='1'/>`,
  `<empty></empty>`,
];
const OPEN = HEADER.slice(HEADER.indexOf('<stream'));
const STREAM = `${HEADER}${ELEMENTS.join(' \n')}</stream:stream>`;
const EXPECTED = [OPEN, ...ELEMENTS, '</stream:stream>'];

function scan(chunks: readonly Buffer[]): string[] {
  const found: string[] = [];
  const scanner = new Scanner();
  for (const chunk of chunks) scanner.push(chunk, chunk.length, (bytes, start, end) => found.push(bytes.toString('utf8', start, end)));
  return found;
}

test('elements of a stream, its opening and closing tag', () => {
  assert.deepEqual(scan([Buffer.from(STREAM)]), EXPECTED);
});

test('the same for every cut into two, and byte by byte', () => {
  const bytes = Buffer.from(STREAM);
  for (let cut = 0; cut <= bytes.length; cut++) {
    assert.deepEqual(scan([bytes.subarray(0, cut), bytes.subarray(cut)]), EXPECTED, `cut at ${cut}`);
  }
  assert.deepEqual(scan(Array.from(bytes, (_, at) => bytes.subarray(at, at + 1))), EXPECTED);
});

test('a chunk may be written over once it was pushed, and only its beginning may count', () => {
  const bytes = Buffer.from(STREAM);
  const shared = Buffer.alloc(64, '!');
  const found: string[] = [];
  const scanner = new Scanner();
  for (let at = 0; at < bytes.length; at += 10) {
    const length = bytes.copy(shared, 0, at, Math.min(at + 10, bytes.length));
    scanner.push(shared, length, (piece, start, end) => found.push(piece.toString('utf8', start, end)));
    shared.fill('<');
  }
  assert.deepEqual(found, EXPECTED);
});

test('after a reset, also by a handler, a new stream begins', () => {
  const found: string[] = [];
  const scanner = new Scanner();
  const bytes = Buffer.from(`${OPEN}<success/>`);
  scanner.push(bytes, bytes.length, (piece, start, end) => {
    found.push(piece.toString('utf8', start, end));
    if (found.length === 2) scanner.reset();
  });
  const again = Buffer.from(STREAM);
  scanner.push(again, again.length, (piece, start, end) => found.push(piece.toString('utf8', start, end)));
  assert.deepEqual(found, [OPEN, '<success/>', ...EXPECTED]);
});

test('what no server sends is an error, not a misunderstanding', () => {
  assert.throws(() => scan([Buffer.from(`${OPEN}<message><![CDATA[</message>]]></message>`)]), /CDATA/);
});

test('attributes of the first tag only, in either quotes, by their whole name', () => {
  const text = `<iq xid='no' note='id="no" type=x' type="set"\n id='yes'><q from='no'/></iq>`;
  const bytes = Buffer.from(text);
  assert.equal(attributeText(bytes, 0, bytes.length, ID), 'yes');
  assert.equal(attributeText(bytes, 0, bytes.length, TYPE), 'set');
  assert.equal(attributeText(bytes, 0, bytes.length, FROM), undefined);
  assert.equal(attributeAt(bytes, 0, bytes.length, FROM), -1);
});

test('numbers of ids belong to a token', () => {
  const bytes = Buffer.from(`<message id='abc-000000120'/><message id='abd-7'/><message/>`);
  const second = bytes.indexOf('<message', 1);
  const third = bytes.indexOf('<message', second + 1);
  const token = Buffer.from('abc');
  assert.equal(numberOf(token, bytes, 0, second), 120);
  assert.equal(numberOf(token, bytes, second, third), Number.NaN);
  assert.equal(numberOf(token, bytes, third, bytes.length), Number.NaN);
  assert.equal(numberAt(Buffer.from('x'), 0), Number.NaN);
});

test('what is behind an element is not in it', () => {
  const bytes = Buffer.from('<a/><b/>');
  assert.equal(contains(bytes, 0, 4, Buffer.from('<a')), true);
  assert.equal(contains(bytes, 0, 4, Buffer.from('<b')), false);
});
