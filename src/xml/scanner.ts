/**
 * Reads one element (or the stream header, or the stream's end tag) byte by byte, and checks everything
 * that Extensible Markup Language 1.0 and Namespaces in XML 1.0 ask for.
 *
 * It can stop after any byte and go on when more have come. A byte is looked at once; a second time where a plain
 * tag turned out not to be plain, and as one of three of an unfinished UTF-8 character.
 *
 * One long function, because the states of a byte machine change together, and because
 * every byte of every stream passes here: measured in bench/micro/xml.
 */
import {
  CDATA_STOP,
  INCOMPLETE,
  NAME_CLASS,
  NAME_COLON,
  NAME_REST,
  NAME_START,
  NOT_NAME,
  TEXT_STOP,
  decodeChar,
  encodedLength,
  endOfMultibyteText,
  endOfText,
  endOfValue,
  isWhiteSpace,
  isXmlChar,
} from './characters.ts';
import { HAS_REFERENCE, HAS_WHITESPACE, OPEN_FIELDS, type ScanTarget, type StreamScope } from './element-record.ts';
import { FAILURES } from './failures.ts';
import type { FrameError, FramerLimits } from './frame.ts';
import { isNameRest, isNameStart } from './name-characters.ts';
import { PlainTagReader } from './plain-tags.ts';

/** What `scan` came to. */
export const MORE = 0;
export const DONE = 1;
export const FAILED = 2;
export type Outcome = typeof MORE | typeof DONE | typeof FAILED;

const TEXT = 0;
const TAG_OPEN = 1;
const TAG_NAME = 2;
const IN_TAG = 3;
const BEFORE_ATTRIBUTE = 4;
const ATTRIBUTE_NAME = 5;
const AFTER_ATTRIBUTE_NAME = 6;
const BEFORE_VALUE = 7;
const VALUE = 8;
const EMPTY_TAG = 9;
const END_NAME = 10;
const AFTER_END_NAME = 11;
const REFERENCE = 12;
const DECIMAL = 13;
const HEXADECIMAL = 14;
const NAMED = 15;
const BANG = 16;
const CDATA_OPEN = 17;
const CDATA = 18;

const TAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const BANG_MARK = 0x21;
const QUOTE = 0x22;
const HASH = 0x23;
const AMPERSAND = 0x26;
const APOSTROPHE = 0x27;
const HYPHEN = 0x2d;
const SLASH = 0x2f;
const SEMICOLON = 0x3b;
const LESS = 0x3c;
const EQUALS = 0x3d;
const GREATER = 0x3e;
const QUESTION = 0x3f;
const UPPER_D = 0x44;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const LOWER_A = 0x61;
const LOWER_G = 0x67;
const LOWER_L = 0x6c;
const LOWER_M = 0x6d;
const LOWER_P = 0x70;
const LOWER_T = 0x74;
const LOWER_X = 0x78;

const CDATA_WORD = Buffer.from('CDATA[');

/** The predefined entities and all beginnings of their names, packed into integers; true where complete. XML 1.0 §4.6 */
const ENTITY_PREFIXES = new Map<number, boolean>();
for (const name of ['amp', 'lt', 'gt', 'apos', 'quot']) {
  let packed = 0;
  for (let i = 0; i < name.length; i++) {
    packed = (packed << 8) | name.charCodeAt(i);
    ENTITY_PREFIXES.set(packed, i === name.length - 1);
  }
}

export class Scanner extends PlainTagReader {
  /** Next byte to look at. */
  at = 0;

  private state = TAG_OPEN;
  /** How much of a fixed word was matched, and the quote that ends the value being read. */
  private matched = 0;
  private quote = 0;
  /** The reference being read, its number or its packed name, and whether it stands in a value. */
  private referenceCode = 0;
  private referenceAt = 0;
  private isReferenceInValue = false;

  override begin(target: ScanTarget, scope: StreamScope): void {
    super.begin(target, scope);
    this.state = TAG_OPEN;
    this.at = 1;
  }

  /**
   * Goes on from where it stopped.
   *
   * @param view the same bytes as `buf`.
   * @param base where the element's first byte is in `buf`.
   * @param end of the bytes that may be looked at.
   */
  scan(buf: Buffer, view: DataView, base: number, end: number, limits: FramerLimits): Outcome {
    let pos = base + this.at;
    let { state } = this;
    scan: for (;;) {
      switch (state) {
        case TEXT: {
          const from = pos;
          if (pos < end && TEXT_STOP[buf[pos]!] === 0) {
            pos = endOfText(buf, view, pos, end);
            if (this.depth === 1 && !this.hasText) this.hasText = !isBlank(buf, from, pos);
          }
          if (pos === end) break scan;
          const byte = buf[pos]!;
          if (byte === LESS) {
            if (pos + 1 < end && buf[pos + 1] === SLASH) {
              const next = this.quickEndTag(buf, base, pos + 2, end);
              if (next > 0) {
                if (this.depth === 0) return this.done(base, next);
                pos = next;
                continue;
              }
            }
            pos++;
            state = TAG_OPEN;
            continue;
          }
          if (byte >= 0x80) {
            this.isMultibyte = true;
            if (this.depth === 1) this.hasText = true;
            const next = endOfMultibyteText(buf, pos, end);
            if (next > pos) {
              pos = next;
              continue;
            }
            const code = decodeChar(buf, pos, end);
            if (code === INCOMPLETE) break scan;
            if (code < 0) return this.fail(FAILURES.utf8);
            if (code === 0xfffe || code === 0xffff) return this.fail(FAILURES.char);
            pos += encodedLength(code);
            continue;
          }
          if (byte === AMPERSAND) {
            const length = entityLength(buf, pos + 1, end);
            if (length > 0) {
              if (this.depth === 1) this.hasText = true;
              pos += length + 1;
              continue;
            }
            pos++;
            this.isReferenceInValue = false;
            state = REFERENCE;
            continue;
          }
          if (byte === GREATER) {
            // Markup ends in '>', so these two can only be text of the same run.
            if (buf[pos - 1] === CLOSE_BRACKET && buf[pos - 2] === CLOSE_BRACKET) return this.fail(FAILURES.sectionEnd);
            if (this.depth === 1) this.hasText = true;
            pos++;
            continue;
          }
          if (byte !== CR) return this.fail(FAILURES.char);
          this.mustRewrite = true;
          pos++;
          continue;
        }

        case TAG_OPEN: {
          if (pos === end) break scan;
          const byte = buf[pos]!;
          if (byte === SLASH) {
            if (this.depth === 0) {
              if (this.scope.rootName === undefined) return this.fail(FAILURES.endTag);
              this.isStreamEnd = true;
            } else if (this.depth === 1) {
              this.bodyEnd = pos - 1 - base;
            }
            this.matched = 0;
            pos++;
            state = END_NAME;
            continue;
          }
          if (byte === BANG_MARK) {
            pos++;
            state = BANG;
            continue;
          }
          if (byte === QUESTION) return this.fail(FAILURES.instruction);
          if (this.depth >= limits.maxDepth) return this.fail(FAILURES.maxDepth);
          if (++this.elements > limits.maxElements) return this.fail(FAILURES.maxElements);
          this.tokenAt = pos - base;
          this.colonAt = -1;
          this.tagBindings = this.prefixes.length;
          this.tagDefaults = this.defaultDeclarations;
          this.tagDefault = undefined;
          this.opening = undefined;
          this.attributeCount = this.headAttributes;
          this.prefixedAttributes = 0;
          const next = this.quickStartTag(buf, view, base, pos, end, limits);
          if (next === 0) {
            state = TAG_NAME;
            continue;
          }
          pos = next;
          const isEmpty = buf[pos - 2] === SLASH;
          if (!this.endStartTag(buf, base, pos, isEmpty)) return FAILED;
          if (this.depth === 0 || this.target === 'header') {
            this.isEmptyTag = isEmpty;
            return this.done(base, pos);
          }
          state = TEXT;
          continue;
        }

        case TAG_NAME:
        case ATTRIBUTE_NAME: {
          const nameAt = base + this.tokenAt;
          const stop = Math.min(end, nameAt + limits.maxNameBytes + 1);
          let byte = 0;
          while (pos < stop) {
            const kind = NAME_CLASS[(byte = buf[pos]!)];
            if (kind === NAME_START) {
              pos++;
            } else if (kind === NOT_NAME) {
              break;
            } else {
              const isFirst = pos === nameAt || pos - 1 - base === this.colonAt;
              if (kind === NAME_REST) {
                if (isFirst) return this.fail(FAILURES.name);
                pos++;
              } else if (kind === NAME_COLON) {
                if (isFirst || this.colonAt >= 0) return this.fail(FAILURES.name);
                this.colonAt = pos - base;
                pos++;
              } else {
                const code = decodeChar(buf, pos, end);
                if (code === INCOMPLETE) break scan;
                if (code < 0) return this.fail(FAILURES.utf8);
                if (!(isFirst ? isNameStart(code) : isNameRest(code))) return this.fail(FAILURES.name);
                this.isMultibyte = true;
                pos += encodedLength(code);
              }
            }
          }
          if (pos >= stop) {
            if (pos - nameAt > limits.maxNameBytes) return this.fail(FAILURES.maxNameBytes);
            break scan;
          }
          if (pos === nameAt || pos - 1 - base === this.colonAt) return this.fail(FAILURES.name);
          if (state === TAG_NAME) {
            this.nameAt = this.tokenAt;
            this.nameEnd = pos - base;
            this.nameColon = this.colonAt;
            if (byte === GREATER) {
              pos++;
              if (!this.endStartTag(buf, base, pos, false)) return FAILED;
              if (this.target === 'header') return this.done(base, pos);
              state = TEXT;
              continue;
            }
            state = IN_TAG;
            continue;
          }
          if (!this.endAttributeName(buf, base, pos)) return FAILED;
          if (byte === EQUALS) {
            pos++;
            state = BEFORE_VALUE;
          } else {
            state = AFTER_ATTRIBUTE_NAME;
          }
          continue;
        }

        case IN_TAG:
        case BEFORE_ATTRIBUTE: {
          let byte = 0;
          while (pos < end && isWhiteSpace((byte = buf[pos]!))) {
            if (byte === CR && this.depth > 0) this.mustRewrite = true;
            state = BEFORE_ATTRIBUTE;
            pos++;
          }
          if (pos === end) break scan;
          if (byte === GREATER) {
            pos++;
            if (!this.endStartTag(buf, base, pos, false)) return FAILED;
            if (this.target === 'header') return this.done(base, pos);
            state = TEXT;
          } else if (byte === SLASH) {
            pos++;
            state = EMPTY_TAG;
          } else if (state === IN_TAG) {
            return this.fail(FAILURES.markup);
          } else {
            if (this.attributeCount - this.headAttributes >= limits.maxAttributes) return this.fail(FAILURES.maxAttributes);
            this.tokenAt = pos - base;
            this.colonAt = -1;
            state = ATTRIBUTE_NAME;
          }
          continue;
        }

        case AFTER_ATTRIBUTE_NAME: {
          let byte = 0;
          while (pos < end && isWhiteSpace((byte = buf[pos]!))) {
            if (byte === CR && this.depth > 0) this.mustRewrite = true;
            pos++;
          }
          if (pos === end) break scan;
          if (byte !== EQUALS) return this.fail(FAILURES.attribute);
          pos++;
          state = BEFORE_VALUE;
          continue;
        }

        case BEFORE_VALUE: {
          let byte = 0;
          while (pos < end && isWhiteSpace((byte = buf[pos]!))) {
            if (byte === CR && this.depth > 0) this.mustRewrite = true;
            pos++;
          }
          if (pos === end) break scan;
          if (byte !== APOSTROPHE && byte !== QUOTE) return this.fail(FAILURES.attribute);
          pos++;
          this.quote = byte;
          this.valueAt = pos - base;
          this.valueFlags = 0;
          state = VALUE;
          continue;
        }

        case VALUE: {
          pos = endOfValue(buf, view, pos, end);
          if (pos === end) break scan;
          const byte = buf[pos]!;
          if (byte === this.quote) {
            if (!this.endAttribute(buf, base, pos, limits)) return FAILED;
            pos++;
            state = IN_TAG;
          } else if (byte === APOSTROPHE || byte === QUOTE) {
            pos++;
          } else if (byte >= 0x80) {
            this.isMultibyte = true;
            const code = decodeChar(buf, pos, end);
            if (code === INCOMPLETE) break scan;
            if (code < 0) return this.fail(FAILURES.utf8);
            if (code === 0xfffe || code === 0xffff) return this.fail(FAILURES.char);
            pos += encodedLength(code);
          } else if (byte === AMPERSAND) {
            this.valueFlags |= HAS_REFERENCE;
            pos++;
            this.isReferenceInValue = true;
            state = REFERENCE;
          } else if (byte === LESS) {
            return this.fail(FAILURES.attribute);
          } else if (byte === TAB || byte === LF || byte === CR) {
            if (byte === CR && this.depth > 0) this.mustRewrite = true;
            this.valueFlags |= HAS_WHITESPACE;
            pos++;
          } else {
            return this.fail(FAILURES.char);
          }
          continue;
        }

        case EMPTY_TAG: {
          if (pos === end) break scan;
          if (buf[pos] !== GREATER) return this.fail(FAILURES.markup);
          pos++;
          if (!this.endStartTag(buf, base, pos, true)) return FAILED;
          if (this.depth === 0) {
            this.isEmptyTag = true;
            return this.done(base, pos);
          }
          state = TEXT;
          continue;
        }

        case END_NAME: {
          const { depth } = this;
          const entry = (depth - 1) * OPEN_FIELDS;
          const expected = depth === 0 ? this.scope.rootName! : buf;
          const expectedAt = depth === 0 ? 0 : base + this.open[entry]!;
          const length = depth === 0 ? expected.length : this.open[entry + 1]!;
          let { matched } = this;
          while (matched < length && pos < end) {
            if (buf[pos] !== expected[expectedAt + matched]) return this.fail(FAILURES.endTag);
            matched++;
            pos++;
          }
          this.matched = matched;
          if (matched < length) break scan;
          state = AFTER_END_NAME;
          continue;
        }

        case AFTER_END_NAME: {
          let byte = 0;
          while (pos < end && isWhiteSpace((byte = buf[pos]!))) {
            if (byte === CR && this.depth > 1) this.mustRewrite = true;
            pos++;
          }
          if (pos === end) break scan;
          if (byte !== GREATER) return this.fail(FAILURES.endTag);
          pos++;
          if (this.depth <= 1) return this.done(base, pos);
          this.closeElement();
          state = TEXT;
          continue;
        }

        case REFERENCE: {
          if (pos === end) break scan;
          const byte = buf[pos]!;
          if (byte === HASH) {
            if (pos + 1 >= end) break scan;
            const isHexadecimal = buf[pos + 1] === LOWER_X;
            pos += isHexadecimal ? 2 : 1;
            state = isHexadecimal ? HEXADECIMAL : DECIMAL;
          } else {
            state = NAMED;
          }
          this.referenceCode = 0;
          this.referenceAt = pos - base;
          continue;
        }

        case DECIMAL:
        case HEXADECIMAL: {
          const radix = state === DECIMAL ? 10 : 16;
          for (;;) {
            if (pos === end) break scan;
            const byte = buf[pos]!;
            if (byte === SEMICOLON) break;
            const digit = digitOf(byte);
            if (digit >= radix) return this.fail(FAILURES.reference);
            this.referenceCode = this.referenceCode * radix + digit;
            if (this.referenceCode > 0x10ffff) return this.fail(FAILURES.reference);
            pos++;
          }
          if (pos - base === this.referenceAt || !isXmlChar(this.referenceCode)) return this.fail(FAILURES.reference);
          if (this.depth === 1 && !this.isReferenceInValue && !isWhiteSpace(this.referenceCode)) this.hasText = true;
          pos++;
          state = this.isReferenceInValue ? VALUE : TEXT;
          continue;
        }

        case NAMED: {
          for (;;) {
            if (pos === end) break scan;
            const byte = buf[pos]!;
            if (byte === SEMICOLON) break;
            const kind = NAME_CLASS[byte];
            if (kind === NOT_NAME || kind === NAME_COLON) return this.fail(FAILURES.reference);
            this.referenceCode = (this.referenceCode << 8) | byte;
            if (!ENTITY_PREFIXES.has(this.referenceCode))
              return this.fail(kind === NAME_REST && pos - base === this.referenceAt ? FAILURES.reference : FAILURES.entity);
            pos++;
          }
          if (this.referenceCode === 0) return this.fail(FAILURES.reference);
          if (ENTITY_PREFIXES.get(this.referenceCode) !== true) return this.fail(FAILURES.entity);
          if (this.depth === 1 && !this.isReferenceInValue) this.hasText = true;
          pos++;
          state = this.isReferenceInValue ? VALUE : TEXT;
          continue;
        }

        case BANG: {
          if (pos === end) break scan;
          const byte = buf[pos]!;
          if (byte === HYPHEN) return this.fail(FAILURES.comment);
          if (byte === UPPER_D) return this.fail(FAILURES.doctype);
          if (byte !== OPEN_BRACKET) return this.fail(FAILURES.markup);
          if (this.depth === 0) return this.fail(this.target === 'header' ? FAILURES.prolog : FAILURES.text);
          this.matched = 0;
          pos++;
          state = CDATA_OPEN;
          continue;
        }

        case CDATA_OPEN: {
          let { matched } = this;
          while (matched < CDATA_WORD.length && pos < end) {
            if (buf[pos] !== CDATA_WORD[matched]) return this.fail(FAILURES.markup);
            matched++;
            pos++;
          }
          this.matched = matched;
          if (matched < CDATA_WORD.length) break scan;
          this.mustRewrite = true;
          this.tokenAt = pos - base;
          state = CDATA;
          continue;
        }

        case CDATA: {
          let byte = 0;
          while (pos < end && CDATA_STOP[(byte = buf[pos]!)] === 0) pos++;
          if (pos === end) break scan;
          if (byte === GREATER) {
            const contentAt = base + this.tokenAt;
            if (pos - 2 >= contentAt && buf[pos - 1] === CLOSE_BRACKET && buf[pos - 2] === CLOSE_BRACKET) {
              // Only here, where the end is known, can text be told from the brackets that end it.
              if (this.depth === 1 && !this.hasText) this.hasText = !isBlank(buf, contentAt, pos - 2);
              state = TEXT;
            }
            pos++;
          } else if (byte >= 0x80) {
            this.isMultibyte = true;
            const code = decodeChar(buf, pos, end);
            if (code === INCOMPLETE) break scan;
            if (code < 0) return this.fail(FAILURES.utf8);
            if (code === 0xfffe || code === 0xffff) return this.fail(FAILURES.char);
            pos += encodedLength(code);
          } else if (byte === CR) {
            pos++;
          } else {
            return this.fail(FAILURES.char);
          }
          continue;
        }
      }
    }
    this.state = state;
    this.at = pos - base;
    return MORE;
  }

  private done(base: number, pos: number): Outcome {
    this.at = pos - base;
    return DONE;
  }

  private fail(failure: FrameError): Outcome {
    this.failure = failure;
    return FAILED;
  }
}

function isBlank(buf: Uint8Array, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (!isWhiteSpace(buf[i]!)) return false;
  return true;
}

/** Bytes of the predefined entity that stands at `pos`, the semicolon included; 0 where there is none, or not all of it. */
function entityLength(buf: Uint8Array, pos: number, end: number): number {
  if (pos + 5 > end) return 0;
  const first = buf[pos]!;
  if (buf[pos + 2] === SEMICOLON) return buf[pos + 1] === LOWER_T && (first === LOWER_L || first === LOWER_G) ? 3 : 0;
  if (buf[pos + 3] === SEMICOLON) return first === LOWER_A && buf[pos + 1] === LOWER_M && buf[pos + 2] === LOWER_P ? 4 : 0;
  return 0;
}

/** 99 for what is no digit. */
function digitOf(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : 99;
}
