/**
 * Makes a checked body independent of where it came from: prefixes and the default namespace that
 * were declared outside are declared on its own elements, CDATA becomes plain text, and
 * line ends become what XML makes of them. What is re-written means the same as what was received.
 */
import type { OuterPrefix } from './element-record.ts';
import { escapeAttr, escapeText } from './serialize.ts';

export interface RewriteOptions {
  /** To be declared on every element at the top of the body that does not declare them otherwise. */
  readonly prefixes: readonly OuterPrefix[];
  /** The default namespace that elements at the top of the body rely on, where it has to be declared. */
  readonly defaultNs: string | undefined;
  /** Of the result, in UTF-8: a long namespace used by many children would otherwise multiply. */
  readonly maxBytes: number;
}

/**
 * @param body checked by the scanner: well-formed, and without comments and processing instructions.
 * @returns the new body, or `undefined` where it would be longer than `maxBytes`.
 */
export function rewriteBody(body: string, { prefixes, defaultNs, maxBytes }: RewriteOptions): string | undefined {
  let result = '';
  let depth = 0;
  let pos = 0;
  while (pos < body.length) {
    if (result.length > maxBytes) return undefined;
    const tagAt = body.indexOf('<', pos);
    if (tagAt !== pos) {
      const end = tagAt < 0 ? body.length : tagAt;
      // Beside what was a CDATA section, a '>' could end a ']]>' that was none.
      result += normaliseLineEnds(body.slice(pos, end)).replaceAll('>', '&gt;');
      pos = end;
    } else if (body.startsWith('<![CDATA[', tagAt)) {
      const end = body.indexOf(']]>', tagAt + 9);
      result += escapeText(normaliseLineEnds(body.slice(tagAt + 9, end)));
      pos = end + 3;
    } else {
      const end = tagEnd(body, tagAt);
      let tag = body.slice(tagAt, end);
      if (tag.includes('\r')) tag = tag.replace(/\r\n?/g, ' '); // XML 1.0 §2.11, §3.3.3
      if (tag.charCodeAt(1) === 0x2f) {
        depth--;
      } else {
        if (depth === 0) tag = withDeclarations(tag, prefixes, defaultNs);
        if (!tag.endsWith('/>')) depth++;
      }
      result += tag;
      pos = end;
    }
  }
  return Buffer.byteLength(result) <= maxBytes ? result : undefined;
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

function withDeclarations(tag: string, prefixes: readonly OuterPrefix[], defaultNs: string | undefined): string {
  const nameEnd = /[\s/>]/.exec(tag)!.index;
  const declared = declarationsOf(tag, nameEnd);
  let added = '';
  if (defaultNs !== undefined && !declared.has('xmlns')) added += " xmlns='" + escapeAttr(defaultNs) + "'";
  for (const { prefix, uri } of prefixes) {
    if (!declared.has('xmlns:' + prefix)) added += ' xmlns:' + prefix + "='" + escapeAttr(uri) + "'";
  }
  return tag.slice(0, nameEnd) + added + tag.slice(nameEnd);
}

/** Names of the attributes of a tag that declare namespaces. */
function declarationsOf(tag: string, nameEnd: number): ReadonlySet<string> {
  const names = new Set<string>();
  let pos = nameEnd;
  for (;;) {
    const equals = tag.indexOf('=', pos);
    if (equals < 0) return names;
    const name = tag.slice(pos, equals).trim();
    if (name === 'xmlns' || name.startsWith('xmlns:')) names.add(name);
    pos = equals + 1;
    while (tag.charCodeAt(pos) !== 0x22 && tag.charCodeAt(pos) !== 0x27) pos++;
    pos = tag.indexOf(tag.charAt(pos), pos + 1) + 1;
  }
}
