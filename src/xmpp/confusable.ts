/**
 * Guards against names made to look like other names, for the moment a name is given out
 * (registration, room creation). Addresses of others are never refused on these grounds.
 *
 * After Unicode UTS #39: restriction levels (§5.2) and skeletons (§4). The skeleton knows
 * the look-alikes of Latin, Greek, Cyrillic and Armenian small letters and of ASCII, not
 * all of confusables.txt.
 */

/** UAX #31, table 5: scripts in everyday use. */
const RECOMMENDED = [
  'Arabic',
  'Armenian',
  'Bengali',
  'Bopomofo',
  'Cyrillic',
  'Devanagari',
  'Ethiopic',
  'Georgian',
  'Greek',
  'Gujarati',
  'Gurmukhi',
  'Han',
  'Hangul',
  'Hebrew',
  'Hiragana',
  'Kannada',
  'Katakana',
  'Khmer',
  'Lao',
  'Latin',
  'Malayalam',
  'Myanmar',
  'Oriya',
  'Sinhala',
  'Tamil',
  'Telugu',
  'Thaana',
  'Thai',
  'Tibetan',
];
/** UTS #39 §5.2 Highly Restrictive: what the writing of Chinese, Japanese and Korean mixes. */
const WRITTEN_TOGETHER = [
  ['Latin', 'Han', 'Hiragana', 'Katakana'],
  ['Latin', 'Han', 'Bopomofo'],
  ['Latin', 'Han', 'Hangul'],
];

/** Matches a text that may be all of one script, or of scripts written together. */
const UNMIXED = [...RECOMMENDED.map((script) => [script]), ...WRITTEN_TOGETHER].map(
  (scripts) => new RegExp(`^[${['Common', 'Inherited', ...scripts].map((script) => `\\p{Script_Extensions=${script}}`).join('')}]*$`, 'u'),
);
const ANY_RECOMMENDED = new RegExp(`[${RECOMMENDED.map((script) => `\\p{Script_Extensions=${script}}`).join('')}]`, 'u');

/**
 * Whether a localpart mixes scripts that no language mixes, such as Latin and Cyrillic.
 * Letters of historic scripts pass among themselves, never beside those of a living one.
 *
 * @param local normalised, so bounded by 1023 bytes.
 */
export function isMixedScript(local: string): boolean {
  return !UNMIXED.some((script) => script.test(local)) && ANY_RECOMMENDED.test(local);
}

const LOOK_ALIKES: ReadonlyMap<string, string> = new Map(
  Object.entries({
    a: 'аαɑ',
    b: 'Ьь',
    c: 'сϲ',
    d: 'ԁ',
    e: 'еҽ',
    f: 'ք',
    g: 'ɡց',
    h: 'һհ',
    i: 'іιı',
    j: 'јյ',
    k: 'кκ',
    l: '1ӏ|',
    n: 'ոп',
    o: '0оοօσ',
    p: 'рρ',
    q: 'ԛզ',
    r: 'г',
    s: 'ѕ',
    u: 'υս',
    v: 'ѵν',
    w: 'ԝա',
    x: 'хχ',
    y: 'уγү',
    rn: 'm',
    ß: 'β',
  }).flatMap(([latin, others]) => [...others].map((other) => [other, latin] as const)),
);

/** Two localparts with the same skeleton look alike. A key for comparing, never an address. UTS #39 §4 */
export function confusableSkeleton(local: string): string {
  let skeleton = '';
  for (const char of local.normalize('NFD')) skeleton += LOOK_ALIKES.get(char) ?? char;
  return skeleton;
}
