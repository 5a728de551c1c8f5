import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DocumentError, XmlDocument, type Containers, type Piece } from '../../src/portability/document.ts';

const CONTAINERS: Containers = {
  names: new Set(['list', 'box']),
  has: (name, ns) => ns === 'urn:x' && (name === 'list' || name === 'box'),
};

async function* chunksOf(text: string, size: number): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** Every piece as one line. */
async function read(text: string, size = Number.POSITIVE_INFINITY): Promise<string[]> {
  await using document = new XmlDocument(chunksOf(text, size), CONTAINERS);
  const pieces: string[] = [];
  for (;;) {
    const piece = await document.next();
    if (piece === undefined) return pieces;
    pieces.push(describe(piece));
  }
}

function describe(piece: Piece): string {
  if (piece.kind === 'close') return 'close';
  if (piece.kind === 'open') return `${piece.line} open {${piece.ns}}${piece.name} ${JSON.stringify([...piece.attrs])}`;
  const { name, ns, attrs, contentNs, body } = piece.frame;
  return `${piece.line} {${ns}}${name} ${JSON.stringify(attrs)} ${contentNs} ${body}`;
}

async function refusal(text: string, size?: number): Promise<string> {
  try {
    return `read: ${(await read(text, size)).join(' | ')}`;
  } catch (error) {
    assert.ok(error instanceof DocumentError, String(error));
    return `${error.line}: ${error.message}`;
  }
}

const SAMPLE = `\u{feff}<?xml version='1.0' encoding='UTF-8'?>
<!-- made by hand
     > not the end -- >  -->
<p:list xmlns:p='urn:x' xmlns:y="urn:y'>" note='a > b' p:note="xmlns:z='no'">
  <?hint here > ?>
  <y:item k='1'><y:sub/>a &lt; b</y:item><plain/>

  <box xmlns='urn:x'
       xmlns:y='urn:other'>
    <y:item>\u{1f469}\u{200d}\u{1f52c}</y:item>
    <p:box/>
    <item><box><list/></box></item>
  </box><y:item/>
</p:list >
<!-- after -->
`;

const PIECES = [
  `4 open {urn:x}list [["note","a > b"],["{urn:x}note","xmlns:z='no'"]]`,
  `6 {urn:y'>}item ["k","1"] urn:y'> <y:sub xmlns='' xmlns:y='urn:y&apos;&gt;'/>a &lt; b`,
  '6 {}plain []  ',
  '8 open {urn:x}box []',
  '10 {urn:other}item [] urn:other \u{1f469}\u{200d}\u{1f52c}',
  '11 open {urn:x}box []',
  'close',
  '12 {urn:x}item [] urn:x <box><list/></box>',
  'close',
  `13 {urn:y'>}item [] urn:y'> `,
  'close',
];

test('containers are opened, everything else comes whole; namespaces of all levels around hold', async () => {
  assert.deepEqual(await read(SAMPLE), PIECES);
});

test('the pieces do not depend on how the bytes are cut', async () => {
  for (const size of [1, 2, 3, 7, 16, 61]) assert.deepEqual(await read(SAMPLE, size), PIECES, `chunks of ${size}`);
});

test('what is wrong is said with its line', async () => {
  for (const [text, expected] of [
    ['', '1: There is no element in the file.'],
    ['\n\nhello', '3: Text where only elements may be.'],
    ["<?xml version='1.0' encoding='ISO-8859-1'?><a/>", '1: The encoding must be UTF-8.'],
    ['<!DOCTYPE a SYSTEM "file:///etc/passwd">\n<a/>', '1: Document type definitions and CDATA sections are not allowed here.'],
    ["<list xmlns='urn:x'>\n<a>\n<b>\n</a></list>", '4: An end tag does not match its start tag.'],
    ["<list xmlns='urn:x'>\n<a>\n&nbsp;</a></list>", '3: Only the five predefined entities are allowed in XMPP.'],
    ["<list xmlns='urn:x'>\n<a><!-- no --></a></list>", '2: Comments are not allowed in XMPP.'],
    ["<list xmlns='urn:x'>\n<q:a/></list>", '2: A namespace prefix is not declared.'],
    ["<list xmlns='urn:x'>\n<q:box/></list>", '2: A namespace prefix is not declared.'],
    ["<list xmlns='urn:x'>\n\n</box>", '3: An end tag does not match its start tag.'],
    ["<list xmlns='urn:x'>\n<a/>\n", '3: The file ends before </list>.'],
    ["<list xmlns='urn:x'>\n<a>\n\n", '2: The file ends in the middle of an element.'],
    ["<list xmlns='urn:x'>\n<!-- \n", '2: The file ends in the middle of a comment.'],
    ["<list xmlns='urn:x'>\ntext</list>", '2: Text where only elements may be.'],
    ["<list xmlns='urn:x' xmlns='urn:y'>", '1: An attribute is given twice.'],
    ["<list xmlns='urn:x'/>\n<list xmlns='urn:x'/>", '2: A second element at the top of the file.'],
  ] as const) {
    for (const size of [Number.POSITIVE_INFINITY, 1, 5])
      assert.equal(await refusal(text, size), expected, `${JSON.stringify(text)} in chunks of ${size}`);
  }
});

test('any number of elements in any number of chunks takes no more memory than one of them', async () => {
  const COUNT = 20_000;
  async function* source(): AsyncGenerator<Uint8Array> {
    yield Buffer.from("<list xmlns='urn:x'>");
    for (let i = 0; i < COUNT; i += 100) yield Buffer.from(Array.from({ length: 100 }, (_, j) => `<item n='${i + j}'>\n</item>`).join(''));
    yield Buffer.from('</list>');
  }
  await using document = new XmlDocument(source(), CONTAINERS);
  let next = 0;
  for (let piece = await document.next(); piece !== undefined; piece = await document.next()) {
    if (piece.kind !== 'element') continue;
    assert.equal(piece.frame.attrs[1], String(next++));
    assert.equal(piece.line, next);
  }
  assert.equal(next, COUNT);
});

test('an element of many chunks is read once: the time grows with its length', async () => {
  const text = `<list xmlns='urn:x'><item>${'x'.repeat(8 * 1024 * 1024)}</item></list>`;
  const [, item] = await read(text, 16 * 1024);
  assert.equal(item!.length > 8 * 1024 * 1024, true);
});
