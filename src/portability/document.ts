/**
 * Reads an XML document of any size piece by piece. Containers are opened and closed, everything else in them comes as one
 * frame. The framer of streams checks it all, so what is read here obeys the same rules as what a client sends; only comments
 * and processing instructions are let through (and skipped) where a stream has none: between the elements of a container.
 *
 *     <server-data>  open          window ┌───────┬──────────────┐
 *       <host …>     open          bytes  │ done  │ not yet read │ … chunks to come
 *         <user …>   open                 └───────┴──────────────┘
 *           <vCard>… element                     at
 */
import type { Frame, FramerLimits } from '../xml/frame.ts';
import { Framer } from '../xml/framer.ts';

/** Of one element that is no container. */
export const LIMITS_OF_PIECE: FramerLimits = {
  maxBytes: 64 * 1024 * 1024,
  maxDepth: 256,
  maxElements: 1_000_000,
  maxAttributes: 256,
  maxNameBytes: 1024,
  maxNamespaces: 256,
  maxWhitespaceBytes: Number.POSITIVE_INFINITY,
};

/** Of a container's start tag, of an end tag and of a processing instruction. */
const MAX_TAG_BYTES = 64 * 1024;

/** Of a container's name with its prefix, and the byte behind it. */
const MAX_CONTAINER_NAME_BYTES = 128;

const LESS = 0x3c;
const GREATER = 0x3e;
const SLASH = 0x2f;
const BANG = 0x21;
const QUESTION = 0x3f;
const NEWLINE = 0x0a;
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);
const STREAM = 'http://etherx.jabber.org/streams';
const EMPTY = Buffer.alloc(0);

/** The file is no XML, or none that can be read here. */
export class DocumentError extends Error {
  /** From 1. */
  readonly line: number;
  constructor(line: number, message: string) {
    super(message);
    this.name = 'DocumentError';
    this.line = line;
  }
}

export type Piece =
  /** A container's start tag. */
  | {
      readonly kind: 'open';
      readonly name: string;
      readonly ns: string;
      readonly attrs: ReadonlyMap<string, string>;
      readonly line: number;
    }
  | { readonly kind: 'element'; readonly frame: Frame; readonly line: number }
  | { readonly kind: 'close' };

/** Which elements are opened instead of read whole. */
export interface Containers {
  /** Local names one of which such an element has: others are not looked at twice. */
  readonly names: ReadonlySet<string>;
  /** `depth`: containers around it in this document. */
  has(name: string, ns: string, depth: number): boolean;
}

interface Level {
  /** As in the start tag. */
  readonly qname: string;
  /** Declarations in scope inside, as attributes in text, by name. */
  readonly scope: ReadonlyMap<string, string>;
  /** What a framer is given before the contents. */
  readonly header: Buffer;
}

export class XmlDocument {
  private readonly source: AsyncIterator<Uint8Array>;
  private readonly containers: Containers;
  private window: Buffer = EMPTY;
  private at = 0;
  /** Of the byte at `at`. */
  private line = 1;
  private isAtStart = true;
  private hasRoot = false;
  private readonly levels: Level[] = [makeLevel('', new Map())];
  /** At the same byte as `at`, but for white space; undefined where none is or it was left behind. */
  private framer: Framer | undefined;
  private isEmptyTag = false;

  constructor(source: AsyncIterable<Uint8Array>, containers: Containers) {
    this.source = source[Symbol.asyncIterator]();
    this.containers = containers;
  }

  /**
   * The next piece; `undefined` after the end of the document.
   *
   * @throws DocumentError with the line and the reason.
   */
  async next(): Promise<Piece | undefined> {
    if (this.isEmptyTag) {
      this.isEmptyTag = false;
      this.levels.pop();
      return { kind: 'close' };
    }
    if (this.isAtStart) await this.skipProlog();
    for (;;) {
      await this.skipWhiteSpace();
      if (this.at === this.window.length) return this.end();
      if (this.window[this.at] !== LESS) throw this.error('Text where only elements may be.');
      await this.have(2);
      const kind = this.window[this.at + 1];
      if (kind === BANG) await this.skipComment();
      else if (kind === QUESTION) await this.skipInstruction();
      else if (kind === SLASH) return await this.close();
      else return await this.read();
    }
  }

  /** Frees what the source holds. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.source.return?.();
  }

  private get level(): Level {
    return this.levels.at(-1)!;
  }

  private get depth(): number {
    return this.levels.length - 1;
  }

  private error(message: string, line = this.line): DocumentError {
    return new DocumentError(line, message);
  }

  private end(): undefined {
    if (this.depth > 0) throw this.error(`The file ends before </${this.level.qname}>.`);
    if (!this.hasRoot) throw this.error('There is no element in the file.');
  }

  /** Byte order mark and XML declaration. */
  private async skipProlog(): Promise<void> {
    this.isAtStart = false;
    await this.have(3);
    if (this.window.subarray(this.at, this.at + 3).equals(BYTE_ORDER_MARK)) this.advance(this.at + 3);
    await this.have(6);
    if (this.window.toString('latin1', this.at, this.at + 5) !== '<?xml') return;
    const end = await this.find('?>', MAX_TAG_BYTES);
    const encoding = /\sencoding\s*=\s*["']([^"']*)["']/.exec(this.window.toString('latin1', this.at, end))?.[1] ?? 'UTF-8';
    if (!/^(?:utf-?8|us-ascii|ascii)$/i.test(encoding)) throw this.error('The encoding must be UTF-8.');
    this.advance(end + 2);
  }

  /** An element, or a container's start tag. */
  private async read(): Promise<Piece> {
    if (this.depth === 0 && this.hasRoot) throw this.error('A second element at the top of the file.');
    this.hasRoot = true;
    const { line } = this;
    if (!this.containers.names.has(await this.localName())) return { kind: 'element', frame: await this.readFrame(), line };
    const end = await this.tagEnd();
    const tag = this.window.subarray(this.at, end);
    const frame = this.checkTag(tag);
    if (!this.containers.has(frame.name, frame.ns, this.depth)) return { kind: 'element', frame: await this.readFrame(), line };
    this.isEmptyTag = tag[tag.length - 2] === SLASH;
    this.levels.push(levelInside(this.level, tag.toString('utf8')));
    this.leaveFramer();
    this.advance(end);
    const attrs = new Map<string, string>();
    for (let i = 0; i < frame.attrs.length; i += 2) attrs.set(frame.attrs[i]!, frame.attrs[i + 1]!);
    return { kind: 'open', name: frame.name, ns: frame.ns, attrs, line };
  }

  /** Of the start tag at `at`; '' where it is none, or too long to be one that is asked for. */
  private async localName(): Promise<string> {
    await this.have(MAX_CONTAINER_NAME_BYTES);
    const text = this.window.toString('latin1', this.at + 1, this.at + MAX_CONTAINER_NAME_BYTES);
    return /^(?:[^\s/>:]*:)?([^\s/>:]+)[\s/>]/.exec(text)?.[1] ?? '';
  }

  /** A start tag as the framer sees it: an element of its own. */
  private checkTag(tag: Buffer): Frame {
    const isEmpty = tag[tag.length - 2] === SLASH;
    const framer = this.makeFramer();
    framer.push(isEmpty ? Buffer.from(tag) : Buffer.concat([tag.subarray(0, -1), Buffer.from('/>')]));
    const frame = framer.next();
    if (frame?.kind === 'element') return frame;
    throw this.error(frame?.kind === 'error' ? frame.text : 'Malformed markup.');
  }

  /** The whole element at `at`. */
  private async readFrame(): Promise<Frame> {
    const { line } = this;
    const seen = [this.window.subarray(this.at)];
    if (this.framer === undefined) {
      this.framer = this.makeFramer();
      this.framer.push(this.window.subarray(this.at));
    }
    const { framer } = this;
    for (;;) {
      const frame = framer.next();
      if (frame?.kind === 'element') {
        this.advance(this.window.length - framer.buffered);
        return frame;
      }
      if (frame !== undefined) throw this.explain(seen, line, frame.kind === 'error' ? frame.text : 'Malformed markup.');
      this.advance(this.window.length);
      const chunk = await this.source.next();
      if (chunk.done === true) throw this.error('The file ends in the middle of an element.', line);
      this.window = toBuffer(chunk.value);
      this.at = 0;
      seen.push(this.window);
      framer.push(this.window);
    }
  }

  /** Reads the element that failed again, line by line, to name the line. */
  private explain(seen: readonly Buffer[], line: number, text: string): DocumentError {
    const framer = this.makeFramer();
    let at = line;
    for (const chunk of seen) {
      for (let start = 0; start < chunk.length;) {
        const newline = chunk.indexOf(NEWLINE, start);
        const end = newline === -1 ? chunk.length : newline + 1;
        framer.push(chunk.subarray(start, end));
        if (framer.next()?.kind === 'error') return this.error(text, at);
        if (newline !== -1) at++;
        start = end;
      }
    }
    return this.error(text, line);
  }

  private async close(): Promise<Piece> {
    const end = await this.find('>', MAX_TAG_BYTES);
    const name = this.window.toString('utf8', this.at + 2, end).trimEnd();
    if (this.depth === 0 || name !== this.level.qname) throw this.error('An end tag does not match its start tag.');
    this.levels.pop();
    this.leaveFramer();
    this.advance(end + 1);
    return { kind: 'close' };
  }

  /** XML 1.0 §2.5 */
  private async skipComment(): Promise<void> {
    await this.have(4);
    if (this.window.toString('latin1', this.at, this.at + 4) !== '<!--') {
      throw this.error('Document type definitions and CDATA sections are not allowed here.');
    }
    const { line } = this;
    this.leaveFramer();
    this.advance(this.at + 4);
    for (;;) {
      const end = this.window.indexOf('-->', this.at, 'latin1');
      if (end !== -1) return this.advance(end + 3);
      this.advance(Math.max(this.at, this.window.length - 2)); // of what may be the end's beginning nothing is lost
      if (!(await this.more())) throw this.error('The file ends in the middle of a comment.', line);
    }
  }

  private async skipInstruction(): Promise<void> {
    this.leaveFramer();
    this.advance((await this.find('?>', MAX_TAG_BYTES)) + 2);
  }

  private async skipWhiteSpace(): Promise<void> {
    for (;;) {
      let { at } = this;
      while (at < this.window.length && isWhiteSpace(this.window[at]!)) at++;
      this.advance(at);
      if (at < this.window.length || !(await this.more())) return;
    }
  }

  /** One past the `>` of the start tag at `at`. */
  private async tagEnd(): Promise<number> {
    let quote = 0;
    for (let offset = 1; ; offset++) {
      if (offset > MAX_TAG_BYTES) throw this.error('A start tag is too long.');
      if (this.at + offset >= this.window.length && !(await this.more())) throw this.error('The file ends in the middle of an element.');
      const byte = this.window[this.at + offset]!;
      if (quote !== 0) {
        if (byte === quote) quote = 0;
      } else if (byte === GREATER) {
        return this.at + offset + 1;
      } else if (byte === 0x22 || byte === 0x27) {
        quote = byte;
      } else if (byte === LESS) {
        throw this.error('Malformed markup.');
      }
    }
  }

  /** Where `text` begins, from `at` on. */
  private async find(text: string, maxBytes: number): Promise<number> {
    for (;;) {
      const found = this.window.indexOf(text, this.at, 'latin1');
      if (found !== -1 && found - this.at <= maxBytes) return found;
      if (found !== -1 || this.window.length - this.at > maxBytes || !(await this.more())) throw this.error('Malformed markup.');
    }
  }

  /** Reads on until there are `bytes` at `at`, or the file ends. */
  private async have(bytes: number): Promise<void> {
    while (this.window.length - this.at < bytes) if (!(await this.more())) return;
  }

  /** One chunk more behind what is not read yet. False at the end. */
  private async more(): Promise<boolean> {
    const chunk = await this.source.next();
    if (chunk.done === true) return false;
    const bytes = toBuffer(chunk.value);
    this.framer?.push(bytes);
    this.window = this.at === this.window.length ? bytes : Buffer.concat([this.window.subarray(this.at), bytes]);
    this.at = 0;
    return true;
  }

  private advance(to: number): void {
    for (let i = this.window.indexOf(NEWLINE, this.at); i !== -1 && i < to; i = this.window.indexOf(NEWLINE, i + 1)) this.line++;
    this.at = to;
  }

  /** It does not follow where it does not read. */
  private leaveFramer(): void {
    this.framer = undefined;
  }

  private makeFramer(): Framer {
    const framer = new Framer({ limits: LIMITS_OF_PIECE });
    framer.push(this.level.header);
    framer.next();
    return framer;
  }
}

/** Every attribute of a start tag that a framer has checked. */
const ATTRIBUTE = /([^\s=<>/'"]+)\s*=\s*("[^"]*"|'[^']*')/g;

function levelInside(outer: Level, tag: string): Level {
  const qname = /^<([^\s/>]+)/.exec(tag)![1]!;
  const scope = new Map(outer.scope);
  for (const [, name, value] of tag.slice(qname.length + 1).matchAll(ATTRIBUTE)) {
    if (name === 'xmlns' || name!.startsWith('xmlns:')) scope.set(name!, value!);
  }
  return makeLevel(qname, scope);
}

/** The prefix of the stream is nobody's: a document would have to be made to use it. */
function makeLevel(qname: string, scope: ReadonlyMap<string, string>): Level {
  const declarations = [...scope].map(([name, value]) => ` ${name}=${value}`).join('');
  return { qname, scope, header: Buffer.from(`<rookery-document:stream xmlns:rookery-document='${STREAM}'${declarations}>`) };
}

function isWhiteSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

/** A framer keeps what it is given: a source that uses its buffer again must not change it. */
function toBuffer(chunk: Uint8Array): Buffer {
  return Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
}
