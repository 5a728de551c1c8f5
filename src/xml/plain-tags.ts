/**
 * Tags of the plain kind, read at one go: nearly all there are. They are checked as completely as by the states of
 * the scanner; whatever is not plain is left to those, so nothing is decided here but what is right.
 */
import { IS_PLAIN_NAME, NAME_CLASS, NAME_START, endOfValue } from './characters.ts';
import {
  ATTRIBUTE_FIELDS,
  COLON_AT,
  ElementRecord,
  FLAGS,
  IS_DECLARATION,
  NAME_AT,
  NAME_END,
  OPEN_FIELDS,
  VALUE_AT,
  VALUE_END,
  grown,
  isSameBytes,
  isXmlns,
} from './element-record.ts';
import type { FramerLimits } from './frame.ts';
import { intern } from './intern.ts';
import { XML_NS, XMLNS_NS } from './namespaces.ts';
import { findOpening, rememberOpening } from './openings.ts';

const SPACE = 0x20;
const QUOTE = 0x22;
const APOSTROPHE = 0x27;
const SLASH = 0x2f;
const COLON = 0x3a;
const EQUALS = 0x3d;
const GREATER = 0x3e;

export class PlainTagReader extends ElementRecord {
  /**
   * Reads a start tag of the plain kind at one go: ASCII names, one space between attributes, values without references, white
   * space but spaces, and text beyond ASCII. Most tags are like that, and without the states it takes a third of the time.
   *
   * @param pos of the name.
   * @returns the position after the `>`, or 0 where the tag is not of that kind, not all there, or wrong: nothing
   *   has been changed then, and the states read it again.
   */
  protected quickStartTag(buf: Buffer, view: DataView, base: number, pos: number, end: number, limits: FramerLimits): number {
    const { maxNameBytes, maxAttributes } = limits;
    const nameAt = pos;
    let nameEnd: number;
    let byte = 0;
    const first = this.headAttributes;
    let { attributes } = this;
    const firstField = first * ATTRIBUTE_FIELDS;
    let field = firstField;
    let count = first;
    let prefixed = 0;
    let defaultNs: string | undefined;
    const opening = findOpening(view, pos, end);
    if (opening !== undefined) {
      nameEnd = nameAt + opening.nameLength;
      defaultNs = opening.ns;
      pos += opening.length;
      if (pos >= end) return 0;
      byte = buf[pos]!;
      if (field + ATTRIBUTE_FIELDS > attributes.length) attributes = this.attributes = grown(attributes);
      attributes[field] = nameEnd + 1 - base;
      attributes[field + NAME_END] = nameEnd + 6 - base;
      attributes[field + COLON_AT] = -1;
      attributes[field + VALUE_AT] = nameEnd + 8 - base;
      attributes[field + VALUE_END] = pos - 1 - base;
      attributes[field + FLAGS] = IS_DECLARATION;
      field += ATTRIBUTE_FIELDS;
      count++;
    } else {
      if (NAME_CLASS[buf[pos]!] !== NAME_START) return 0;
      while (pos < end && IS_PLAIN_NAME[(byte = buf[pos]!)] === 1) pos++;
      nameEnd = pos;
    }
    if (nameEnd - nameAt > maxNameBytes) return 0;
    while (byte === SPACE) {
      if (++pos >= end) return 0;
      byte = buf[pos]!;
      if (byte === SLASH || byte === GREATER) break;
      const at = pos;
      let colonAt = -1;
      if (NAME_CLASS[byte] !== NAME_START) return 0;
      while (pos < end && IS_PLAIN_NAME[(byte = buf[pos]!)] === 1) pos++;
      if (byte === COLON) {
        colonAt = pos - base;
        if (++pos >= end || NAME_CLASS[buf[pos]!] !== NAME_START) return 0;
        while (pos < end && IS_PLAIN_NAME[(byte = buf[pos]!)] === 1) pos++;
        prefixed++;
      }
      const length = pos - at;
      if (byte !== EQUALS || length > maxNameBytes || pos + 2 >= end) return 0;
      const quote = buf[pos + 1]!;
      if (quote !== APOSTROPHE && quote !== QUOTE) return 0;
      pos += 2;
      const valueAt = pos;
      pos = endOfValue(buf, view, pos, end);
      if (pos + 1 >= end || buf[pos] !== quote) return 0;
      for (let other = firstField; other < field; other += ATTRIBUTE_FIELDS) {
        const otherAt = attributes[other + NAME_AT]!;
        if (attributes[other + NAME_END]! - otherAt === length && isSameBytes(buf, base + otherAt, at, length)) return 0;
      }
      let flags = 0;
      if (isXmlns(buf, at, colonAt >= 0 ? base + colonAt - at : length)) {
        if (colonAt >= 0) return 0;
        defaultNs = pos === valueAt ? '' : intern(buf, valueAt, pos).text;
        if (defaultNs === XML_NS || defaultNs === XMLNS_NS) return 0;
        if (at === nameEnd + 1) rememberOpening(view, nameAt, pos + 1 - nameAt, intern(buf, nameAt, nameEnd), nameEnd - nameAt, defaultNs);
        flags = IS_DECLARATION;
      }
      if (field + ATTRIBUTE_FIELDS > attributes.length) attributes = this.attributes = grown(attributes);
      attributes[field] = at - base;
      attributes[field + NAME_END] = at - base + length;
      attributes[field + COLON_AT] = colonAt;
      attributes[field + VALUE_AT] = valueAt - base;
      attributes[field + VALUE_END] = pos - base;
      attributes[field + FLAGS] = flags;
      field += ATTRIBUTE_FIELDS;
      count++;
      byte = buf[++pos]!;
    }
    if (byte === SLASH) {
      if (++pos >= end) return 0;
      byte = buf[pos]!;
    }
    if (byte !== GREATER) return 0;
    if (count - first > maxAttributes) return 0;
    if (defaultNs !== undefined) {
      if (this.scope.declarations + this.prefixes.length + this.defaultDeclarations >= limits.maxNamespaces) return 0;
      this.tagDefault = defaultNs;
      this.defaultDeclarations++;
    }
    this.nameAt = nameAt - base;
    this.nameEnd = nameEnd - base;
    this.nameColon = -1;
    this.attributeCount = count;
    this.prefixedAttributes = prefixed;
    this.opening = opening;
    return pos + 1;
  }

  /**
   * Reads an end tag without white space at one go.
   *
   * @param pos of the name.
   * @returns as `quickStartTag`.
   */
  protected quickEndTag(buf: Buffer, base: number, pos: number, end: number): number {
    const entry = (this.depth - 1) * OPEN_FIELDS;
    const nameAt = base + this.open[entry]!;
    const length = this.open[entry + 1]!;
    if (pos + length >= end || buf[pos + length] !== GREATER || !isSameBytes(buf, nameAt, pos, length)) return 0;
    if (this.depth === 1) {
      this.bodyEnd = pos - 2 - base;
      this.depth = 0;
    } else {
      this.closeElement();
    }
    return pos + length + 1;
  }
}
