/**
 * Makes a checked body independent of where it came from: prefixes and the default namespace that
 * were declared outside are declared on its own elements, CDATA becomes plain text, and
 * line ends become what XML makes of them. What is re-written means the same as what was received.
 */
import type { OuterPrefix } from './element-record.ts';
import { escapeAttr, escapeText } from './serialize.ts';

export interface RewriteOptions {
  /** To be declared on every element at the top of the body that uses them, itself or below. */
  readonly prefixes: readonly OuterPrefix[];
  /** The default namespace that elements at the top of the body rely on, where it has to be declared. */
  readonly defaultNs: string | undefined;
  /** Of the result, in UTF-8: a long namespace used by many children would otherwise multiply. */
  readonly maxBytes: number;
}

/**
 * @param body checked by the scanner: well-formed, and without comments and processing instructions.
 * @returns the new body, or `undefined` where it would be longer than `maxBytes`. Cost: O(body + result).
 */
export function rewriteBody(body: string, options: RewriteOptions): string | undefined {
  return new Rewriter(body, options).run();
}

class Rewriter {
  private readonly body: string;
  private readonly maxBytes: number;
  /** As attributes. */
  private readonly defaultDeclaration: string | undefined;
  private readonly declarations = new Map<string, string>();

  private result = '';
  private depth = 0;
  /** Of the element at the top that is being read: its start tag up to its name, and what follows it. */
  private head = '';
  private rest = '';
  /** What that element and those inside of it use, and what it declares itself. */
  private readonly used = new Set<string>();
  private readonly declared = new Set<string>();

  constructor(body: string, { prefixes, defaultNs, maxBytes }: RewriteOptions) {
    this.body = body;
    this.maxBytes = maxBytes;
    this.defaultDeclaration = defaultNs === undefined ? undefined : ` xmlns='${escapeAttr(defaultNs)}'`;
    for (const { prefix, uri } of prefixes) this.declarations.set(prefix, ` xmlns:${prefix}='${escapeAttr(uri)}'`);
  }

  run(): string | undefined {
    const { body } = this;
    let pos = 0;
    while (pos < body.length) {
      const tagAt = body.indexOf('<', pos);
      if (tagAt !== pos) {
        const end = tagAt < 0 ? body.length : tagAt;
        // Beside what was a CDATA section, a '>' could end a ']]>' that was none.
        this.write(normaliseLineEnds(body.slice(pos, end)).replaceAll('>', '&gt;'));
        pos = end;
      } else if (body.startsWith('<![CDATA[', tagAt)) {
        const end = body.indexOf(']]>', tagAt + 9);
        this.write(escapeText(normaliseLineEnds(body.slice(tagAt + 9, end))));
        pos = end + 3;
      } else {
        pos = tagEnd(body, tagAt);
        const tag = body.slice(tagAt, pos);
        this.writeTag(tag.includes('\r') ? tag.replace(/\r\n?/g, ' ') : tag); // XML 1.0 §2.11, §3.3.3
      }
      if (this.result.length > this.maxBytes) return undefined;
    }
    return Buffer.byteLength(this.result) <= this.maxBytes ? this.result : undefined;
  }

  private write(text: string): void {
    if (this.depth === 0) this.result += text;
    else this.rest += text;
  }

  private writeTag(tag: string): void {
    if (tag.charCodeAt(1) === 0x2f) {
      this.rest += tag;
      if (--this.depth === 0) this.endTop();
      return;
    }
    const isTop = this.depth === 0;
    const nameEnd = /[\s/>]/.exec(tag)!.index;
    if (isTop) {
      this.head = tag.slice(0, nameEnd);
      this.rest = tag.slice(nameEnd);
    } else {
      this.rest += tag;
    }
    if (isTop || this.declarations.size > 0) this.noteNames(tag, nameEnd, isTop);
    if (!tag.endsWith('/>')) this.depth++;
    else if (isTop) this.endTop();
  }

  /** Notes the prefixes a tag uses, and those that an element at the top declares. */
  private noteNames(tag: string, nameEnd: number, isTop: boolean): void {
    this.use(tag.slice(1, nameEnd));
    let pos = nameEnd;
    for (let equals = tag.indexOf('=', pos); equals >= 0; equals = tag.indexOf('=', pos)) {
      const name = tag.slice(pos, equals).trim();
      if (isTop && (name === 'xmlns' || name.startsWith('xmlns:'))) this.declared.add(name);
      this.use(name);
      pos = equals + 1;
      while (tag.charCodeAt(pos) !== 0x22 && tag.charCodeAt(pos) !== 0x27) pos++;
      pos = tag.indexOf(tag.charAt(pos), pos + 1) + 1;
    }
  }

  private use(name: string): void {
    const colon = name.indexOf(':');
    if (colon > 0) this.used.add(name.slice(0, colon));
  }

  private endTop(): void {
    this.result += this.head;
    if (this.defaultDeclaration !== undefined && !this.declared.has('xmlns')) this.result += this.defaultDeclaration;
    for (const prefix of this.used) {
      const declaration = this.declarations.get(prefix);
      if (declaration !== undefined && !this.declared.has('xmlns:' + prefix)) this.result += declaration;
    }
    this.result += this.rest;
    this.used.clear();
    this.declared.clear();
  }
}

/** XML 1.0 §2.11 */
function normaliseLineEnds(text: string): string {
  return text.includes('\r') ? text.replace(/\r\n?/g, '\n') : text;
}

/** Index after the `>` that ends the tag at `tagAt`; those in values do not. */
function tagEnd(body: string, tagAt: number): number {
  let pos = tagAt + 1;
  for (;;) {
    const code = body.charCodeAt(pos);
    if (code === 0x3e) return pos + 1;
    pos = code === 0x22 || code === 0x27 ? body.indexOf(code === 0x22 ? '"' : "'", pos + 1) + 1 : pos + 1;
  }
}
