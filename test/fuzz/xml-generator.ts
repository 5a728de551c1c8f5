/** Seeded XML streams: mostly legal, with everything in them that a reader can get wrong. */

/** Uniform in [0, 1). mulberry32: small, and the same everywhere. */
export type Random = () => number;

export function randomOf(seed: number): Random {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export function pick<T>(random: Random, values: readonly T[]): T {
  return values[Math.floor(random() * values.length)]!;
}

const LOCALS = [
  'message',
  'iq',
  'body',
  'x',
  'a',
  'b',
  'constructor',
  '__proto__',
  'toString',
  'été',
  '日本',
  'a-b.c_1',
  '_',
  'error',
  'xmlnsx',
  'é1·',
];
const PREFIXES = ['p', 'q', 'db', 'xml', 'é'];
const URIS = ['urn:a', 'urn:b', 'jabber:client', 'urn:a&amp;b', 'é', 'http://jabber.org/protocol/muc#user'];
const SPACES = ['', ' ', '\n', '\t', '\r\n', '  '];
const TEXTS = [
  'Wherefore art thou?',
  ' ',
  '\n',
  '\r',
  '\r\n',
  '&amp;',
  '&lt;',
  '&gt;',
  '&apos;',
  '&quot;',
  '&#65;',
  '&#x1F600;',
  '&#13;',
  '&#9;',
  '&#x20;',
  '>',
  ']',
  ']]',
  'é',
  'я',
  '日本語',
  '😀',
  '\ufeff',
  '\u0085',
  '\u2028',
  '\ufffd',
  '/',
  "'",
  '"',
  '=',
  '\t',
  '0',
  'true',
  '1e3',
  ' 0x1F ',
  '#',
  '.',
  '}',
  '{urn:a}b',
  '\u00a0',
];
const SECTIONS = ['<![CDATA[]]>', '<![CDATA[ ]]>', '<![CDATA[<a>&amp;]]>', '<![CDATA[]]]]>', '<![CDATA[>]]>', '<![CDATA[é\r\nx\r]]>'];
const ODDITIES = [
  '<!-- c -->',
  '<?pi x?>',
  '<!DOCTYPE a>',
  ']]>',
  '&nbsp;',
  '&#0;',
  '&',
  '<',
  '</x>',
  '&#xD800;',
  '\u0001',
  '\ufffe',
  '<x',
  '<x\u{10000}/>',
  '<\u1680/>',
  '<a\ufeff/>',
  'a:b:c',
  '<stream:stream>',
];

export interface GeneratorOptions {
  /** How often something illegal or restricted is put in, per piece of content. */
  readonly oddity: number;
}

/** A stream from its header to its end tag, as text. */
export function generateStream(random: Random, { oddity }: GeneratorOptions): string {
  serial = 0;
  const prologue = pick(random, ['', '', "<?xml version='1.0'?>", `<?xml version="1.0" encoding='utf-8' ?>\n`, ' ']);
  const root = pick(random, ['stream:stream', 'stream:stream', 'str:stream', 'stream']);
  const streams = root.slice(0, -7);
  const declared =
    streams === ''
      ? ["xmlns='http://etherx.jabber.org/streams'"]
      : [`xmlns='${pick(random, ['jabber:client', 'jabber:server', ''])}'`, `xmlns:${streams}='http://etherx.jabber.org/streams'`];
  if (random() < 0.3) declared.push("xmlns:db='jabber:server:dialback'");
  if (random() < 0.3) declared.push("xmlns:p='urn:outer'");
  let stream = `${prologue}<${root} ${declared.join(pick(random, [' ', '\n']))}${attribute(random, [])}>`;
  const count = 1 + Math.floor(random() * 3);
  // Not the stream's own prefix: there may be no element of that namespace inside.
  const scope = [...declared.slice(2).map((text) => text.slice(6, text.indexOf('='))), 'xml'];
  for (let i = 0; i < count; i++) {
    stream += pick(random, ['', '', ' ', '\n', '\r\n']);
    stream += element(random, { depth: 1, outer: scope, oddity, root });
  }
  return `${stream}${pick(random, SPACES)}</${root}${pick(random, SPACES)}>${pick(random, ['', '\n'])}`;
}

interface Place {
  readonly depth: number;
  /** Prefixes bound around it. */
  readonly outer: readonly string[];
  readonly oddity: number;
  readonly root: string;
}

function element(random: Random, { depth, outer, oddity, root }: Place): string {
  const scope = [...outer];
  const attrs: string[] = [];
  if (random() < 0.3 || (depth === 1 && root === 'stream')) attrs.push(`xmlns=${quoted(random, pick(random, ['', ...URIS]))}`);
  while (random() < 0.25) {
    const prefix = pick(random, PREFIXES);
    if (prefix === 'xml' || attrs.some((text) => text.startsWith(`xmlns:${prefix}=`))) break;
    attrs.push(`xmlns:${prefix}=${quoted(random, pick(random, URIS))}`);
    scope.push(prefix);
  }
  let rest = '';
  while (random() < 0.4) rest += attribute(random, scope);
  if (depth === 1 && random() < 0.05 && root.includes(':'))
    return `<${root.slice(0, -7)}:error><x xmlns='urn:a'/></${root.slice(0, -7)}:error>`;
  const name = random() < 0.25 ? `${pick(random, scope)}:${pick(random, LOCALS)}` : pick(random, LOCALS);
  const start = `<${name}${attrs.map((text) => pick(random, [' ', '\n', ' \r']) + text).join('')}${rest}${pick(random, SPACES)}`;
  if (random() < 0.25) return `${start}/>`;
  let content = '';
  while (random() < 0.65) {
    if (random() < oddity) content += pick(random, ODDITIES);
    else if (random() < 0.4 && depth < 6) content += element(random, { depth: depth + 1, outer: scope, oddity, root });
    else if (random() < 0.12) content += pick(random, SECTIONS);
    else content += pick(random, TEXTS);
  }
  return `${start}>${content}</${name}${pick(random, SPACES)}>`;
}

/** Of attribute names within a stream. */
let serial = 0;

/** Named so that two in one tag seldom collide. */
function attribute(random: Random, scope: readonly string[]): string {
  const local =
    random() < 0.05 ? 'id' : pick(random, ['id', 'to', 'type', 'constructor', '__proto__', 'é', 'lang']) + String(serial++ % 97);
  const name = random() < 0.08 ? 'xml:lang' : random() < 0.2 && scope.length > 0 ? `${pick(random, scope)}:${local}` : local;
  let value = '';
  while (random() < 0.5) value += pick(random, TEXTS);
  return `${pick(random, [' ', '\n', '\r\n '])}${name}${pick(random, ['', '', ' '])}=${pick(random, ['', '', '\t'])}${quoted(random, value)}`;
}

function quoted(random: Random, value: string): string {
  return random() < 0.5 ? `"${value.replaceAll('"', '&quot;')}"` : `'${value.replaceAll("'", '&apos;')}'`;
}

const PIECES = [
  '<',
  '>',
  '/',
  '&',
  ';',
  "'",
  '"',
  '=',
  ' ',
  ':',
  '!',
  '?',
  '[',
  ']',
  ']]>',
  '<!--',
  '<![CDATA[',
  '<?',
  '</',
  '/>',
  'xmlns',
  'xmlns:p=""',
  ' xml:lang="a"',
  '&#',
  '&#x',
  '\0',
  '\r',
  '-',
  'a',
  '1',
  '<stream:stream>',
  '</stream:stream>',
  ' xmlns:xml="u"',
  ' xmlns="http://www.w3.org/2000/xmlns/"',
  'p:',
  '\u00b7',
  '\u0300',
  '\u1680',
  '\ufeff',
  '<a/>',
  '<stream:error/>',
].map((text) => Buffer.from(text));
const BYTES = [0x00, 0x0c, 0x1f, 0x7f, 0x80, 0xbf, 0xc0, 0xc1, 0xc2, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xff];

/** A copy of `bytes` with a few bytes changed, put in, left out or copied from elsewhere. */
export function mutate(random: Random, bytes: Buffer): Buffer {
  let result = bytes;
  const count = 1 + Math.floor(random() * 3);
  for (let i = 0; i < count; i++) {
    const at = Math.floor(random() * (result.length + 1));
    const length = Math.floor(random() * random() * 12);
    const from = Math.floor(random() * result.length);
    const piece = pick(random, [
      pick(random, PIECES),
      pick(random, PIECES),
      Buffer.from([pick(random, BYTES)]),
      result.subarray(from, from + length),
      Buffer.alloc(0),
    ]);
    result = Buffer.concat([result.subarray(0, at), piece, result.subarray(at + (random() < 0.5 ? 0 : length))]);
  }
  return result;
}
