/** Strings of a frame, made from the bytes of its element. */
import { utf8Text } from './bytes.ts';
import { intern } from './intern.ts';
import { XML_NS } from './namespaces.ts';
import { normaliseValue } from './references.ts';
import {
  ATTRIBUTE_FIELDS,
  COLON_AT,
  FLAGS,
  HAS_REFERENCE,
  HAS_WHITESPACE,
  IS_DECLARATION,
  NAME_AT,
  NAME_END,
  VALUE_AT,
  VALUE_END,
  type ElementRecord,
} from './element-record.ts';

/**
 * The attributes of a first-level start tag as `Frame.attrs` has them.
 *
 * @param headText the element's beginning as a string of one unit per byte, where that exists: values are
 *   then cut from it, which is faster than a string of its own for each and keeps no more than that text alive.
 */
export function attributesOf(scanner: ElementRecord, buf: Buffer, base: number, headText: string | undefined): readonly string[] {
  const { attributes, headAttributes } = scanner;
  const result = new Array<string>(headAttributes * 2);
  let at = 0;
  for (let i = 0; i < headAttributes; i++) {
    const field = i * ATTRIBUTE_FIELDS;
    const flags = attributes[field + FLAGS]!;
    if ((flags & IS_DECLARATION) !== 0) continue;
    const nameAt = base + attributes[field + NAME_AT]!;
    const nameEnd = base + attributes[field + NAME_END]!;
    const colonAt = attributes[field + COLON_AT]!;
    const valueAt = attributes[field + VALUE_AT]!;
    const valueEnd = attributes[field + VALUE_END]!;
    const value = headText === undefined ? utf8Text(buf, base + valueAt, base + valueEnd) : headText.substring(valueAt, valueEnd);
    result[at++] = colonAt < 0 ? intern(buf, nameAt, nameEnd).text : expandedName(scanner, buf, nameAt, base + colonAt, nameEnd);
    result[at++] = (flags & (HAS_REFERENCE | HAS_WHITESPACE)) === 0 ? value : normaliseValue(value);
  }
  if (at < result.length) result.length = at;
  return result;
}

function expandedName(scanner: ElementRecord, buf: Buffer, nameAt: number, colonAt: number, nameEnd: number): string {
  const uri = scanner.lookup(intern(buf, nameAt, colonAt).text)!;
  const local = intern(buf, colonAt + 1, nameEnd).text;
  return uri === XML_NS && local === 'lang' ? 'xml:lang' : `{${uri}}${local}`;
}
