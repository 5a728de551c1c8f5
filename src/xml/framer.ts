/**
 * Cuts a stream of bytes into frames: the header, each first-level element, the end. Pull style: bytes are
 * pushed as they come, and each `next` scans just far enough for one frame, so what follows an element
 * that changes everything (STARTTLS, SASL success) stays unlooked at.
 *
 *   received:   …element element ele|
 *               consumed ┘start  end┘    start..end is `buffered`
 *
 * What it keeps between calls is the bytes of an unfinished element and, while there is one, a scanner. An
 * idle connection holds neither.
 */
import { asciiText, utf8Text } from './bytes.ts';
import { isWhiteSpace } from './characters.ts';
import { readDeclaration, UNDECIDED } from './declaration.ts';
import { NO_SCOPE, type StreamScope } from './element-record.ts';
import { FAILURES } from './failures.ts';
import { attributesOf } from './frame-text.ts';
import { NO_CHILDREN, type Frame, type FrameError, type FrameKind, type FramerLimits } from './frame.ts';
import { XML_NS } from './namespaces.ts';
import { rewriteBody } from './rewrite.ts';
import { DONE, FAILED, Scanner } from './scanner.ts';

const LESS = 0x3c;
const QUESTION = 0x3f;

const EMPTY = Buffer.alloc(0);
const NO_VIEW = new DataView(new ArrayBuffer(0));
const NO_ATTRS: readonly string[] = [];

/** Whole elements up to this many bytes become one string that values and body are cut from: faster than one each, and no more than this is kept alive by a short value. */
const SHARED_TEXT_BYTES = 512;
/** A body may grow to so many times what was received, and these bytes, when it is re-written to declare its own prefixes. */
const REWRITE_FACTOR = 4;
const REWRITE_BYTES = 4096;
/** Least room for an unfinished element. */
const LEAST_BUFFER_BYTES = 128;
/** Scanners kept for reuse, per thread; each takes about 2 KiB. One is enough where elements come whole. */
const SPARE_SCANNERS = 8;

const spareScanners: Scanner[] = [];

export interface FramerOptions {
  readonly limits: FramerLimits;
  /**
   * Where there are no stream headers (RFC 7395 frames, the inside of a BOSH body, documents): elements are
   * expected at once, under this default namespace and no prefix. A first element may follow an XML declaration.
   */
  readonly contentNs?: string;
}

/** What is expected between two elements. */
type Phase = 'header' | 'elements' | 'end';

export class Framer {
  /** May be replaced at any time, e.g. after login; holds from the next byte on. */
  limits: FramerLimits;
  /**
   * Bytes that were looked at since the start, one looked at again counted again, but for what plain tags try in vain.
   * Stays below three times the bytes received, however they were cut.
   */
  examinedBytes = 0;
  /** Bytes moved to make room since the start. Stays below five times the bytes received. */
  copiedBytes = 0;

  private readonly fragmentNs: string | undefined;
  private phase: Phase;
  private scope: StreamScope = NO_SCOPE;
  private streamNs = '';
  private buf: Buffer = EMPTY;
  /** Of the same bytes, to read them four at a time. */
  private view: DataView = NO_VIEW;
  /** Received and not consumed: `buf` from `start` up to `end`. */
  private start = 0;
  private end = 0;
  /** `buf` is this framer's own and may be written behind `end`. */
  private isOwnBuffer = false;
  /** Set while an element is unfinished. */
  private scanner: Scanner | undefined = undefined;
  /** An XML declaration may still come. XML 1.0 §2.8: nothing may stand before it. */
  private isAtStart = true;
  /** White space in front still belongs to the stream before the restart. RFC 6120 §11.7 */
  private isRestarted = false;
  private declarationBytes = 0;
  private whitespaceBytes = 0;
  private isEmptyStream = false;
  private failure: FrameError | undefined = undefined;

  constructor({ limits, contentNs }: FramerOptions) {
    this.limits = limits;
    this.fragmentNs = contentNs;
    this.phase = 'header';
    this.beginStream();
  }

  /** Received and not handed up, the bytes of an unfinished element included. */
  get buffered(): number {
    return this.end - this.start;
  }

  /** Takes over `chunk`: it must not be changed afterwards. After an error it is dropped. */
  push(chunk: Uint8Array): void {
    if (this.failure !== undefined || chunk.length === 0) return;
    if (this.start === this.end) {
      this.hold(Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
      this.start = 0;
      this.end = chunk.length;
      this.isOwnBuffer = false;
      return;
    }
    const needed = this.buffered + chunk.length;
    if (!this.isOwnBuffer || this.end + chunk.length > this.buf.length)
      this.move(needed > this.buf.length / 2 || !this.isOwnBuffer ? needed * 2 : this.buf.length);
    this.buf.set(chunk, this.end);
    this.copiedBytes += chunk.length;
    this.end += chunk.length;
  }

  /**
   * The next frame, or `undefined` where more bytes are needed. After an error, always that error.
   * Cost: O(bytes not looked at before).
   */
  next(): Frame | FrameError | undefined {
    if (this.failure !== undefined) return this.failure;
    if (this.isEmptyStream) {
      this.isEmptyStream = false;
      return this.closeFrame(0);
    }
    if (this.scanner === undefined && !this.beginElement()) {
      if (this.failure === undefined) this.wait();
      return this.failure;
    }
    const scanner = this.scanner!;
    const { start, end, limits } = this;
    const stop = Math.min(end, start + limits.maxBytes - this.declarationBytes);
    const from = scanner.at;
    if (start + from > stop) return this.fail(FAILURES.maxBytes);
    const outcome = scanner.scan(this.buf, this.view, start, stop, limits);
    this.examinedBytes += scanner.at - from;
    if (outcome === DONE) return this.finish(scanner);
    if (outcome === FAILED) return this.fail(scanner.failure);
    if (stop < end || end - start + this.declarationBytes >= limits.maxBytes) return this.fail(FAILURES.maxBytes);
    this.examinedBytes += stop - start - scanner.at;
    this.wait();
    return undefined;
  }

  /** A new stream header is expected: after STARTTLS and after SASL success. Unread bytes stay. RFC 6120 §4.3.3 */
  restart(): void {
    this.beginStream();
    this.isRestarted = true;
  }

  /** The peer was silent for a while: white space that comes now counts anew. Between elements only; within one it is part of its size. */
  forgiveWhiteSpace(): void {
    this.whitespaceBytes = 0;
  }

  private beginStream(): void {
    this.dropScanner();
    if (this.fragmentNs === undefined) {
      this.phase = 'header';
      this.scope = NO_SCOPE;
    } else {
      this.phase = 'elements';
      this.scope = { ...NO_SCOPE, defaultNs: this.fragmentNs };
    }
    this.isAtStart = true;
    this.declarationBytes = 0;
    this.whitespaceBytes = 0;
    this.isEmptyStream = false;
  }

  /** Goes to the first byte of the next element. False: it is not there yet, or `failure` is set. */
  private beginElement(): boolean {
    if (!this.isAtStart || this.isRestarted) this.skipWhiteSpace();
    else if (this.start < this.end && isWhiteSpace(this.buf[this.start]!)) {
      this.isAtStart = false;
      this.skipWhiteSpace();
    }
    if (this.failure !== undefined || this.start === this.end) return false;
    const { buf, start, end } = this;
    if (buf[start] !== LESS || this.phase === 'end') {
      this.fail(this.phase === 'end' ? FAILURES.epilog : this.phase === 'header' ? FAILURES.prolog : FAILURES.text);
      return false;
    }
    if (this.isAtStart) {
      if (end - start < 2) return false;
      this.isAtStart = false;
      if (buf[start + 1] === QUESTION) return this.skipDeclaration();
    }
    this.scanner = spareScanners.pop() ?? new Scanner();
    this.scanner.begin(this.phase === 'header' ? 'header' : 'element', this.scope);
    this.examinedBytes++;
    return true;
  }

  private skipDeclaration(): boolean {
    const length = readDeclaration(this.buf, this.start, this.end);
    if (typeof length !== 'number') {
      this.fail(length);
      return false;
    }
    if (length === UNDECIDED) {
      this.isAtStart = true;
      return false;
    }
    this.examinedBytes += length;
    this.start += length;
    this.declarationBytes = length;
    this.isRestarted = false;
    return this.beginElement();
  }

  /** Between elements. RFC 6120 §4.6.1, §11.7 */
  private skipWhiteSpace(): void {
    const { buf, end } = this;
    let { start } = this;
    while (start < end && isWhiteSpace(buf[start]!)) start++;
    const skipped = start - this.start;
    if (skipped === 0) return;
    this.start = start;
    this.examinedBytes += skipped;
    this.whitespaceBytes += skipped;
    if (this.whitespaceBytes > this.limits.maxWhitespaceBytes) this.fail(FAILURES.maxWhitespaceBytes);
  }

  private finish(scanner: Scanner): Frame | FrameError {
    const from = this.start;
    this.whitespaceBytes = 0;
    this.isRestarted = false;
    let frame: Frame | FrameError;
    if (scanner.isStreamEnd) {
      frame = this.closeFrame(scanner.at);
    } else if (this.phase === 'header') {
      frame = this.openFrame(scanner);
    } else {
      frame = this.elementFrame(scanner);
      if (frame.kind === 'error') return this.fail(frame);
    }
    this.declarationBytes = 0;
    this.start = from + scanner.at;
    this.dropScanner();
    this.skipWhiteSpace();
    if (this.start === this.end) this.release();
    return frame;
  }

  private openFrame(scanner: Scanner): Frame {
    const { buf, start } = this;
    this.phase = 'elements';
    this.streamNs = scanner.ns;
    this.scope = shared({
      prefixes: [...scanner.prefixes],
      uris: [...scanner.uris],
      defaultNs: scanner.contentNs,
      declarations: scanner.prefixes.length + scanner.defaultDeclarations,
      rootName: new Uint8Array(buf.subarray(start + 1, start + scanner.nameEnd)),
    });
    if (scanner.isEmptyTag) this.isEmptyStream = true;
    return makeFrame(
      'open',
      scanner,
      scanner.contentNs,
      attributesOf(scanner, buf, start, undefined),
      '',
      scanner.at + this.declarationBytes,
    );
  }

  private closeFrame(bytes: number): Frame {
    this.phase = 'end';
    return {
      kind: 'close',
      name: 'stream',
      ns: this.streamNs,
      contentNs: this.scope.defaultNs,
      attrs: NO_ATTRS,
      children: NO_CHILDREN,
      hasText: false,
      body: '',
      bytes,
    };
  }

  private elementFrame(scanner: Scanner): Frame | FrameError {
    const { buf, start } = this;
    const { bodyAt, bodyEnd } = scanner;
    const bytes = scanner.at + this.declarationBytes;
    const isAscii = !scanner.isHeadMultibyte && !scanner.isMultibyte;
    const hasAttributes = scanner.headAttributes > 0;
    let body = '';
    let headText: string | undefined;
    if (isAscii && scanner.at <= SHARED_TEXT_BYTES && hasAttributes) {
      const text = asciiText(buf, start, start + scanner.at);
      headText = text;
      body = text.substring(bodyAt, bodyEnd);
    } else {
      if (bodyEnd > bodyAt) body = (scanner.isMultibyte ? utf8Text : asciiText)(buf, start + bodyAt, start + bodyEnd);
      if (hasAttributes && !scanner.isHeadMultibyte && bodyAt <= SHARED_TEXT_BYTES) headText = asciiText(buf, start, start + bodyAt);
    }
    const contentNs = scanner.ns === XML_NS ? scanner.contentNs : scanner.ns; // that one cannot be a default: Namespaces in XML 1.0 §3
    const isDefaultOther = scanner.contentNs !== contentNs && scanner.children.length > 0;
    if (scanner.mustRewrite || isDefaultOther) {
      const rewritten = rewriteBody(body, {
        prefixes: scanner.outerPrefixes,
        defaultNs: isDefaultOther ? scanner.contentNs : undefined,
        maxBytes: Math.min(this.limits.maxBytes, bytes * REWRITE_FACTOR + REWRITE_BYTES),
      });
      if (rewritten === undefined) return FAILURES.maxRewrittenBytes;
      body = rewritten;
    }
    const attrs = hasAttributes ? attributesOf(scanner, buf, start, headText) : NO_ATTRS;
    return makeFrame('element', scanner, contentNs, attrs, body, bytes);
  }

  private fail(failure: FrameError): FrameError {
    this.failure = failure;
    this.dropScanner();
    this.release();
    return failure;
  }

  /** Nothing more to do until bytes come: holds on to no more than what is unfinished. */
  private wait(): void {
    if (this.start === this.end) this.release();
    else if (!this.isOwnBuffer || this.buf.length > Math.max(LEAST_BUFFER_BYTES, this.buffered * 4))
      this.move(Math.max(LEAST_BUFFER_BYTES, this.buffered * 2));
  }

  private release(): void {
    this.buf = EMPTY;
    this.view = NO_VIEW;
    this.start = 0;
    this.end = 0;
    this.isOwnBuffer = false;
  }

  /** Moves what is unfinished to the front of an own buffer of `capacity` bytes. */
  private move(capacity: number): void {
    const { buf, start, end } = this;
    const target = this.isOwnBuffer && buf.length === capacity ? buf : Buffer.allocUnsafeSlow(capacity);
    buf.copy(target, 0, start, end);
    this.copiedBytes += end - start;
    this.hold(target);
    this.start = 0;
    this.end = end - start;
    this.isOwnBuffer = true;
  }

  private hold(buf: Buffer): void {
    this.buf = buf;
    this.view = new DataView(buf.buffer, buf.byteOffset, buf.length);
  }

  private dropScanner(): void {
    const { scanner } = this;
    if (scanner === undefined) return;
    this.scanner = undefined;
    if (spareScanners.length < SPARE_SCANNERS && scanner.isSmall) spareScanners.push(scanner);
  }
}

/** In the order of `closeFrame`, so that all frames have one shape. */
function makeFrame(kind: FrameKind, scanner: Scanner, contentNs: string, attrs: readonly string[], body: string, bytes: number): Frame {
  const { children } = scanner;
  return { kind, name: scanner.name, ns: scanner.ns, contentNs, attrs, children, hasText: scanner.hasText, body, bytes };
}

/** The scope of the last header: nearly all streams have the same, and each would keep its own for as long as it lasts. */
let lastScope = NO_SCOPE;

function shared(scope: StreamScope): StreamScope {
  const { prefixes, uris, defaultNs, declarations, rootName } = lastScope;
  const isSame =
    scope.defaultNs === defaultNs &&
    scope.declarations === declarations &&
    isEqual(scope.prefixes, prefixes) &&
    isEqual(scope.uris, uris) &&
    isEqual(scope.rootName ?? [], rootName ?? []);
  return isSame ? lastScope : (lastScope = scope);
}

function isEqual(one: ArrayLike<unknown>, other: ArrayLike<unknown>): boolean {
  if (one.length !== other.length) return false;
  for (let i = 0; i < one.length; i++) if (one[i] !== other[i]) return false;
  return true;
}
