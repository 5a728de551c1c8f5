/** The XML declaration before a stream header. XML 1.0 §2.8, RFC 6120 §11.5 */
import { isWhiteSpace } from './characters.ts';
import { FAILURES } from './failures.ts';
import type { FrameError } from './frame.ts';

/** Longer ones are refused: all that can be said takes 56 bytes. */
const MAX_DECLARATION_BYTES = 256;

/** The bytes do not suffice to decide. */
export const UNDECIDED = 0;

/**
 * Reads the declaration at `start`, where `<?` stands. Its parts are few and short, so it is read
 * anew when more bytes have come: at most MAX_DECLARATION_BYTES, once per stream.
 *
 * @returns its length in bytes, UNDECIDED, or why it is refused.
 */
export function readDeclaration(buf: Uint8Array, start: number, end: number): number | FrameError {
  const reader = new Reader(buf, start, Math.min(end, start + MAX_DECLARATION_BYTES));
  const result = reader.read();
  if (result === UNDECIDED && end - start >= MAX_DECLARATION_BYTES) return FAILURES.declaration;
  return result;
}

/** What a part came to that ran out of bytes, or is not what it must be. */
const SHORT = 'short';
const WRONG = 'wrong';

class Reader {
  private readonly buf: Uint8Array;
  private readonly start: number;
  private readonly end: number;
  private pos: number;

  constructor(buf: Uint8Array, start: number, end: number) {
    this.buf = buf;
    this.start = start;
    this.end = end;
    this.pos = start;
  }

  /** '<?xml' VersionInfo EncodingDecl? SDDecl? S? '?>' */
  read(): number | FrameError {
    const opening = this.word('<?xml');
    if (opening === WRONG) return FAILURES.instruction;
    if (opening === SHORT) return UNDECIDED;
    let next: 'version' | 'encoding' | 'standalone' | 'end' = 'version';
    for (;;) {
      const isSpaced = this.skipSpace();
      if (this.pos === this.end) return UNDECIDED;
      const first = String.fromCharCode(this.buf[this.pos]!);
      if (first === '?') {
        if (next === 'version') return this.pos === this.start + 5 ? FAILURES.instruction : FAILURES.declaration;
        const closing = this.word('?>');
        if (closing === SHORT) return UNDECIDED;
        return closing === WRONG ? FAILURES.declaration : this.pos - this.start;
      }
      if (!isSpaced) return next === 'version' ? FAILURES.instruction : FAILURES.declaration;
      if (next === 'end' || (next === 'version' && first !== 'v')) return FAILURES.declaration;
      const name = first === 'v' ? 'version' : first === 'e' ? 'encoding' : 'standalone';
      if ((name === 'version') !== (next === 'version') || (name === 'encoding' && next !== 'encoding')) return FAILURES.declaration;
      const value = this.pseudoAttribute(name);
      if (value === SHORT) return UNDECIDED;
      if (value === WRONG) return FAILURES.declaration;
      if (name === 'version') {
        if (value.text !== '1.0') return /^1\.[0-9]+$/.test(value.text) ? FAILURES.version : FAILURES.declaration;
        next = 'encoding';
      } else if (name === 'encoding') {
        if (!/^[A-Za-z][-A-Za-z0-9._]*$/.test(value.text)) return FAILURES.declaration;
        if (value.text.toLowerCase() !== 'utf-8') return FAILURES.encoding; // RFC 6120 §11.6
        next = 'standalone';
      } else {
        if (value.text !== 'yes' && value.text !== 'no') return FAILURES.declaration;
        next = 'end';
      }
    }
  }

  private skipSpace(): boolean {
    const from = this.pos;
    while (this.pos < this.end && isWhiteSpace(this.buf[this.pos]!)) this.pos++;
    return this.pos > from;
  }

  private word(word: string): 'done' | typeof SHORT | typeof WRONG {
    for (let i = 0; i < word.length; i++) {
      if (this.pos === this.end) return SHORT;
      if (this.buf[this.pos] !== word.charCodeAt(i)) return WRONG;
      this.pos++;
    }
    return 'done';
  }

  private pseudoAttribute(name: string): { readonly text: string } | typeof SHORT | typeof WRONG {
    const matched = this.word(name);
    if (matched !== 'done') return matched;
    this.skipSpace();
    const equals = this.word('=');
    if (equals !== 'done') return equals;
    this.skipSpace();
    if (this.pos === this.end) return SHORT;
    const quote = this.buf[this.pos++]!;
    if (quote !== 0x27 && quote !== 0x22) return WRONG;
    let text = '';
    for (;;) {
      if (this.pos === this.end) return SHORT;
      const byte = this.buf[this.pos++]!;
      if (byte === quote) return { text };
      if (byte < 0x21 || byte > 0x7e) return WRONG;
      text += String.fromCharCode(byte);
    }
  }
}
