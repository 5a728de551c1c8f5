/**
 * Words as a search compares them: without case, accents and compatibility forms. XEP-0431 §2.2 leaves all that to us.
 *
 * What is sought is a list of words, each of which must begin a word of the text; scripts that are written without spaces
 * are sought anywhere. Nothing in it is special: no operator, no pattern.
 */

/** Folded, not empty. */
export type Words = readonly string[];

/** Of a search, in UTF-16 units. */
export const MAX_SEARCH_LENGTH = 256;
/** Further words of a search are not looked at. */
const MAX_WORDS = 16;

const ASCII_ONLY = /^[\0-\x7f]*$/;
const MARKS = /\p{M}+/gu;
/** What ends a word. Among it is all that XML writes in another form. */
const BREAKS = /[\s\p{P}\p{Z}\p{C}\p{Sm}\p{Sk}]+/u;
/** Written without spaces between words. */
const UNSPACED = /^[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Thai}\p{sc=Lao}\p{sc=Khmer}\p{sc=Myanmar}]/u;
/** Letters that Unicode does not take apart, but whoever seeks one types the other. */
const PLAIN: Readonly<Record<string, string>> = {
  ß: 'ss',
  ς: 'σ',
  ø: 'o',
  ł: 'l',
  đ: 'd',
  ð: 'd',
  þ: 'th',
  æ: 'ae',
  œ: 'oe',
  ı: 'i',
  ħ: 'h',
};
const SPECIAL = /[ßςøłđðþæœıħ]/g;

/** The text as it is compared. Cost: O(length); ASCII takes no Unicode tables. */
export function fold(text: string): string {
  if (ASCII_ONLY.test(text)) return text.toLowerCase();
  return text
    .normalize('NFKD')
    .replace(MARKS, '')
    .toLowerCase()
    .replace(SPECIAL, (letter) => PLAIN[letter]!)
    .replace(MARKS, ''); // lower case of İ brings one back
}

/** The words of a search; none where it holds nothing but punctuation. */
export function wordsOf(search: string): Words {
  const words = fold(search.slice(0, MAX_SEARCH_LENGTH)).split(BREAKS);
  return [...new Set(words)].filter((word) => word !== '').slice(0, MAX_WORDS);
}

/** Whether a folded text has every one of the words. */
export function hasWords(text: string, words: Words): boolean {
  return words.every((word) => hasWord(text, word));
}

function hasWord(text: string, word: string): boolean {
  const isAnywhere = UNSPACED.test(word);
  for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + 1)) {
    if (at === 0 || isAnywhere || BREAKS.test(text.charAt(at - 1))) return true;
  }
  return false;
}
