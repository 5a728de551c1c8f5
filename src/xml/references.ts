/** Reading text that was checked: references become characters, white space in values becomes spaces. */

/**
 * Replaces the five predefined entities and numeric references. XML 1.0 §4.1, §4.6
 *
 * @param text checked: every `&` begins a legal reference. What is none stays as it is.
 */
export function unescapeText(text: string): string {
  let ampersand = text.indexOf('&');
  if (ampersand < 0) return text;
  let result = '';
  let from = 0;
  while (ampersand >= 0) {
    const end = text.indexOf(';', ampersand);
    if (end < 0) break;
    const char = characterOf(text, ampersand + 1, end);
    if (char !== undefined) {
      result += text.slice(from, ampersand) + char;
      from = end + 1;
    }
    ampersand = text.indexOf('&', Math.max(from, ampersand + 1));
  }
  return result + text.slice(from);
}

/** An attribute value as applications see it: line ends and tabs as spaces, then references replaced. XML 1.0 §3.3.3 */
export function normaliseValue(text: string): string {
  return unescapeText(WHITE_SPACE.test(text) ? text.replace(/\r\n|[\t\n\r]/g, ' ') : text);
}

const WHITE_SPACE = /[\t\n\r]/;

function characterOf(text: string, start: number, end: number): string | undefined {
  if (text.charCodeAt(start) === 0x23) {
    const isHexadecimal = text.charCodeAt(start + 1) === 0x78;
    const code = isHexadecimal ? Number.parseInt(text.slice(start + 2, end), 16) : Number.parseInt(text.slice(start + 1, end), 10);
    return code >= 0 && code <= 0x10ffff ? String.fromCodePoint(code) : undefined;
  }
  switch (text.slice(start, end)) {
    case 'amp':
      return '&';
    case 'lt':
      return '<';
    case 'gt':
      return '>';
    case 'apos':
      return "'";
    case 'quot':
      return '"';
    default:
      return undefined;
  }
}
