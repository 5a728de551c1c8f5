/**
 * PRECIS (RFC 8264): which strings may be a username, a password, a nickname, and which
 * of them are the same. Code point properties come from the regular expression engine
 * and `String.prototype.normalize`, so they follow the Unicode version Node carries
 * (`process.versions.unicode`; 17.0 in Node 26). The three properties the engine does not
 * offer are derived here:
 *
 * - Hangul_Syllable_Type: the ranges of conjoining jamo, which are closed.
 * - Canonical_Combining_Class 9 and Joining_Type, needed only for ZWNJ and ZWJ: tables of
 *   Unicode 15. A letter added later refuses a joiner next to it; it is never let through.
 * - Bidi_Class, for strings of IdentifierClass: by block, with the numbers set apart.
 *
 * Everything here is linear in the length of its input and keeps no state. So that this
 * holds for normalisation, too, a text must be stream-safe (UAX #15 §13) to be looked at.
 */

/** Longer input is refused unread. UTF-16 units; whatever NFC makes 1023 bytes of fits, three units for two bytes at most. */
export const MAX_PRECIS_LENGTH = 1536;

/** Sorting a long run of combining marks takes quadratic time; no language stacks that many. UAX #15 §13 */
const TOO_MANY_MARKS = /\p{M}{31}/u;

/** RFC 8264 §7: a profile that has not settled after three more rounds refuses the string. */
const MAX_ROUNDS = 4;

// RFC 8264 §8 as sets, one for each class; code points with a contextual rule are in both and looked at again.
// (A) LetterDigits and (K) ASCII7, the valid Exceptions (F) and JoinControl (H), less what is disallowed before
// these are asked: Exceptions (F), OldHangulJamo (I), PrecisIgnorableProperties (M). Unassigned is in no set.
const IDENTIFIER =
  /^[[[\x21-\x7E\p{Ll}\p{Lu}\p{Lo}\p{Nd}\p{Lm}\p{Mn}\p{Mc}\u00B7\u0375\u05F3\u05F4\u06FD\u06FE\u0F0B\u3007\u30FB]--[\u0640\u07FA\u302E\u302F\u3031-\u3035\u303B\u1100-\u11FF\uA960-\uA97C\uD7B0-\uD7C6\uD7CB-\uD7FB\p{Default_Ignorable_Code_Point}]]\u200C\u200D]+$/v;
// In addition (N) Spaces to (R) OtherLetterDigits.
const FREEFORM =
  /^[[[\x20-\x7E\p{L}\p{N}\p{M}\p{Zs}\p{S}\p{P}]--[\u0640\u07FA\u302E\u302F\u3031-\u3035\u303B\u1100-\u11FF\uA960-\uA97C\uD7B0-\uD7C6\uD7CB-\uD7FB\p{Default_Ignorable_Code_Point}]]\u200C\u200D]+$/v;
const CONTEXTUAL = /[\u00B7\u0375\u05F3\u05F4\u0660-\u0669\u06F0-\u06F9\u200C\u200D\u30FB]/u;

const VIRAMA =
  /[\u094D\u09CD\u0A4D\u0ACD\u0B4D\u0BCD\u0C4D\u0CCD\u0D3B\u0D3C\u0D4D\u0DCA\u0E3A\u0EBA\u0F84\u1039\u103A\u1714\u1715\u1734\u17D2\u1A60\u1B44\u1BAA\u1BAB\u1BF2\u1BF3\u2D7F\uA806\uA82C\uA8C4\uA953\uA9C0\uAAF6\uABED\u{10A3F}\u{11046}\u{11070}\u{1107F}\u{110B9}\u{11133}\u{11134}\u{111C0}\u{11235}\u{112EA}\u{1134D}\u{11442}\u{114C2}\u{115BF}\u{1163F}\u{116B6}\u{1172B}\u{11839}\u{1193D}\u{1193E}\u{119E0}\u{11A34}\u{11A47}\u{11A99}\u{11C3F}\u{11D44}\u{11D45}\u{11D97}]/u;
/** Joining_Type L and R are the few that join on one side only; D joins on both. */
const JOINS_NEXT_ONLY = /[\uA872\u{10ACD}\u{10AD7}\u{10D00}\u{10FCB}]/u;
const JOINS_PREVIOUS_ONLY =
  /[\u0622-\u0625\u0627\u0629\u062F-\u0632\u0648\u0671-\u0673\u0675-\u0677\u0688-\u0699\u06C0\u06C3-\u06CB\u06CD\u06CF\u06D2\u06D3\u06D5\u06EE\u06EF\u0710\u0715-\u0719\u071E\u0728\u072A\u072C\u072F\u074D\u0759-\u075B\u076B\u076C\u0771\u0773\u0774\u0778\u0779\u0840\u0846\u0847\u0849\u0854\u0856-\u0858\u0867\u0869\u086A\u0870-\u0882\u088E\u08AA-\u08AC\u08AE\u08B1\u08B2\u08B9\u{10AC5}\u{10AC7}\u{10AC9}\u{10ACA}\u{10ACE}-\u{10AD2}\u{10ADD}\u{10AE1}\u{10AE4}\u{10AEF}\u{10B81}\u{10B83}-\u{10B85}\u{10B89}\u{10B8C}\u{10B8E}\u{10B8F}\u{10B91}\u{10BA9}-\u{10BAC}\u{10D22}\u{10F33}\u{10F54}\u{10F74}\u{10F75}\u{10FB4}-\u{10FB6}\u{10FB9}\u{10FBA}\u{10FBD}\u{10FC2}\u{10FC3}\u{10FC9}]/u;
const JOINS_BOTH =
  /[\u0620\u0626\u0628\u062A-\u062E\u0633-\u063F\u0641-\u0647\u0649\u064A\u066E\u066F\u0678-\u0687\u069A-\u06BF\u06C1\u06C2\u06CC\u06CE\u06D0\u06D1\u06FA-\u06FC\u06FF\u0712-\u0714\u071A-\u071D\u071F-\u0727\u0729\u072B\u072D\u072E\u074E-\u0758\u075C-\u076A\u076D-\u0770\u0772\u0775-\u0777\u077A-\u077F\u07CA-\u07EA\u0841-\u0845\u0848\u084A-\u0853\u0855\u0860\u0862-\u0865\u0868\u0886\u0889-\u088D\u08A0-\u08A9\u08AF\u08B0\u08B3-\u08B8\u08BA-\u08C8\u1807\u1820-\u1878\u1887-\u18A8\u18AA\uA840-\uA871\u{10AC0}-\u{10AC4}\u{10AD3}-\u{10AD6}\u{10AD8}-\u{10ADC}\u{10ADE}-\u{10AE0}\u{10AEB}-\u{10AEE}\u{10B80}\u{10B82}\u{10B86}-\u{10B88}\u{10B8A}\u{10B8B}\u{10B8D}\u{10B90}\u{10BAD}\u{10BAE}\u{10D01}-\u{10D21}\u{10D23}\u{10F30}-\u{10F32}\u{10F34}-\u{10F44}\u{10F51}-\u{10F53}\u{10F70}-\u{10F73}\u{10F76}-\u{10F81}\u{10FB0}\u{10FB2}\u{10FB3}\u{10FB8}\u{10FBB}\u{10FBC}\u{10FBE}\u{10FBF}\u{10FC1}\u{10FC4}\u{10FCA}\u{1E900}-\u{1E943}]/u;
/** Joining_Type T, without the formats: none but the joiners themselves gets this far. */
const TRANSPARENT = /[\p{Mn}\p{Me}]/u;

const ARABIC_INDIC = /[\u0660-\u0669]/;
const EXTENDED_ARABIC_INDIC = /[\u06F0-\u06F9]/;
const GREEK = /\p{Script=Greek}/u;
const HEBREW = /\p{Script=Hebrew}/u;
const KANA_OR_HAN = /[\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Han}]/u;

/** But for five vowel signs that have the direction of their script. */
const NONSPACING = /[[\p{Mn}\p{Me}]--[\u0CBF\u0CC6\u{11A07}\u{11A08}\u{11C3F}]]/v;
const ARABIC_NUMBER = /[\u0660-\u0669\u{10D30}-\u{10D39}]/u;
const EUROPEAN_NUMBER = /[0-9\u06F0-\u06F9]/u;
/** Blocks whose letters, assigned or not yet, run from right to left. */
const RIGHT_TO_LEFT_BLOCK = /[\u0590-\u08FF\uFB1D-\uFDFF\uFE70-\uFEFC\u{10800}-\u{10FFF}\u{1E800}-\u{1EFFF}]/u;
/** Letters without a direction of their own, and everything that is no letter. */
const NEUTRAL = /[\u00B7\u02B9\u02BA\u02C2-\u02CF\u02EC\u0374\u0375\u30FB\uA67F\uA717-\uA71F\uA788]|[^\p{L}\p{M}\p{N}\u0F0B]/u;

const NON_ASCII_SPACE = /[^\P{Zs} ]/gu;
const NON_ASCII = /[^\x00-\x7F]/;
/** Fullwidth and halfwidth forms, the only code points with a <wide> or <narrow> decomposition. */
const WIDE_OR_NARROW = /[\u3000\uFF01-\uFFEE]/gu;

type StringClass = 'identifier' | 'freeform';

/**
 * A password that has passed `opaqueString`. `src/sasl` declares the same shape under its
 * own name, so that an unprepared password cannot be hashed by mistake.
 */
export type OpaqueString = string & { readonly opaqueString: true };

/**
 * The UsernameCaseMapped profile. RFC 8265 §3.3: width mapping, IdentifierClass, lower case, NFC, Bidi Rule.
 *
 * @returns the one form all equal usernames share, or `undefined` where the text can be no username.
 */
export function usernameCaseMapped(text: string): string | undefined {
  return enforce(text, (round) => {
    const wide = mapWidth(round);
    if (!isOfClass(wide, 'identifier')) return undefined;
    const mapped = wide.toLowerCase().normalize('NFC');
    return isOfClass(mapped, 'identifier') && obeysBidiRule(mapped) ? mapped : undefined;
  });
}

/**
 * The OpaqueString profile. RFC 8265 §4.2: spaces become U+0020, NFC, FreeformClass; case counts.
 * On ASCII it agrees with SASLprep (RFC 4013), so keys derived under either are the same.
 */
export function opaqueString(text: string): OpaqueString | undefined {
  return enforce(text, (round) => {
    const mapped = round.replace(NON_ASCII_SPACE, ' ').normalize('NFC');
    return isOfClass(mapped, 'freeform') ? mapped : undefined;
  }) as OpaqueString | undefined;
}

/** The Nickname profile as it is shown and stored. RFC 8266 §2.3: outer spaces cut, inner ones single, NFKC, FreeformClass. */
export function nickname(text: string): string | undefined {
  return enforce(text, (round) => {
    const mapped = singleSpaces(round.replace(NON_ASCII_SPACE, ' ')).normalize('NFKC');
    return isOfClass(mapped, 'freeform') ? mapped : undefined;
  });
}

/** What two nicknames share if they count as the same. RFC 8266 §2.4 */
export function nicknameKey(text: string): string | undefined {
  return enforce(text, (round) => {
    const mapped = singleSpaces(round.replace(NON_ASCII_SPACE, ' ')).toLowerCase().normalize('NFKC');
    return isOfClass(mapped, 'freeform') ? mapped : undefined;
  });
}

/**
 * Whether a label of an internationalised domain name may be shown and looked up: IDNA2008 (RFC 5892, RFC 5893)
 * applied to a U-label. Its tables and those of IdentifierClass differ in ASCII only.
 *
 * @param label lower case, without dots, NFC.
 */
export function isULabel(label: string): boolean {
  if (!/^[-a-z0-9\u0080-\u{10FFFF}]+$/u.test(label)) return false;
  if (label.startsWith('-') || label.endsWith('-') || label.startsWith('--', 2)) return false; // RFC 5891 §4.2.3.1
  if (/^\p{M}/u.test(label)) return false; // RFC 5891 §4.2.3.2
  if (label.toLowerCase() !== label || label.normalize('NFC') !== label) return false;
  return isOfClass(label, 'identifier') && obeysBidiRule(label);
}

/** Maps fullwidth and halfwidth forms to their usual ones. RFC 8264 §5.2.1 */
export function mapWidth(text: string): string {
  return text.replace(WIDE_OR_NARROW, (form) => form.normalize('NFKC'));
}

/** Whether a text may be normalised at all: bounded, without unpaired surrogates, stream-safe. */
export function isNormalizable(text: string): boolean {
  return text.length <= MAX_PRECIS_LENGTH && text.isWellFormed() && !TOO_MANY_MARKS.test(text);
}

/** Applies a profile until it changes nothing, so that every result is its own normal form. RFC 8264 §7 */
function enforce(text: string, profile: (round: string) => string | undefined): string | undefined {
  if (!isNormalizable(text)) return undefined;
  let current = text;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const next = profile(current);
    if (next === undefined || next === '') return undefined;
    if (next === current) return next;
    current = next;
  }
  return undefined;
}

function singleSpaces(text: string): string {
  let out = '';
  for (const word of text.split(' ')) {
    if (word !== '') out += out === '' ? word : ' ' + word;
  }
  return out;
}

/** RFC 8264 §8 for every code point. */
function isOfClass(text: string, stringClass: StringClass): boolean {
  if (!(stringClass === 'identifier' ? IDENTIFIER : FREEFORM).test(text)) return false;
  if (!NON_ASCII.test(text)) return true;
  if (stringClass === 'identifier' && hasCompat(text)) return false;
  return !CONTEXTUAL.test(text) || obeysContext([...text]);
}

/** §9.17 (Q): a code point that compatibility normalisation would change. None is in a text that is its own NFKC. */
function hasCompat(text: string): boolean {
  if (text.normalize('NFKC') === text) return false;
  for (const char of text) {
    if (char.normalize('NFKC') !== char) return true;
  }
  return false;
}

function obeysContext(chars: readonly string[]): boolean {
  // Asked of the whole text, so once for all.
  const hasKanaOrHan = chars.some((char) => KANA_OR_HAN.test(char));
  const hasArabicIndic = chars.some((char) => ARABIC_INDIC.test(char));
  const hasExtendedArabicIndic = chars.some((char) => EXTENDED_ARABIC_INDIC.test(char));
  if (hasArabicIndic && hasExtendedArabicIndic) return false; // RFC 5892 Appendix A.8 and A.9
  return chars.every((char, at) => {
    switch (char) {
      case '\u200C':
      case '\u200D':
        return obeysContextJ(chars, at);
      case '\u00B7': // Appendix A.3
        return chars[at - 1] === 'l' && chars[at + 1] === 'l';
      case '\u0375': // A.4
        return at + 1 < chars.length && GREEK.test(chars[at + 1]!);
      case '\u05F3': // A.5
      case '\u05F4': // A.6
        return at > 0 && HEBREW.test(chars[at - 1]!);
      case '\u30FB': // A.7
        return hasKanaOrHan;
      default:
        return true;
    }
  });
}

/** RFC 5892 Appendix A.1 and A.2 */
function obeysContextJ(chars: readonly string[], at: number): boolean {
  if (at > 0 && VIRAMA.test(chars[at - 1]!)) return true;
  if (chars[at] === '\u200D') return false;
  let before = at - 1;
  while (before >= 0 && TRANSPARENT.test(chars[before]!)) before--;
  let after = at + 1;
  while (after < chars.length && TRANSPARENT.test(chars[after]!)) after++;
  if (before < 0 || after >= chars.length) return false;
  const left = chars[before]!;
  const right = chars[after]!;
  return (JOINS_BOTH.test(left) || JOINS_NEXT_ONLY.test(left)) && (JOINS_BOTH.test(right) || JOINS_PREVIOUS_ONLY.test(right));
}

type BidiClass = 'R' | 'L' | 'AN' | 'EN' | 'NSM' | 'neutral';

/** Bidi_Class of a code point of IdentifierClass; R stands for R and AL. */
function bidiClass(char: string): BidiClass {
  if (NONSPACING.test(char)) return 'NSM';
  if (ARABIC_NUMBER.test(char)) return 'AN';
  if (EUROPEAN_NUMBER.test(char)) return 'EN';
  if (RIGHT_TO_LEFT_BLOCK.test(char)) return 'R';
  return NEUTRAL.test(char) ? 'neutral' : 'L';
}

/** Whether a name is, or is part of, a "Bidi domain name". RFC 5893 §1.4 */
export function hasRightToLeft(text: string): boolean {
  return RIGHT_TO_LEFT_BLOCK.test(text);
}

/**
 * RFC 5893 §2, applied where a right-to-left code point is. Conditions 5 and 6, for
 * left-to-right labels, then never hold: such a label may have none.
 */
export function obeysBidiRule(text: string): boolean {
  if (!RIGHT_TO_LEFT_BLOCK.test(text)) return true;
  const classes: BidiClass[] = [];
  for (const char of text) classes.push(bidiClass(char));
  if (!classes.includes('R') && !classes.includes('AN')) return true;
  if (classes[0] !== 'R' || classes.includes('L')) return false; // conditions 1 and 2
  if (classes.includes('EN') && classes.includes('AN')) return false; // condition 4
  let last = classes.length - 1;
  while (classes[last] === 'NSM') last--;
  return classes[last] !== 'neutral'; // condition 3
}
