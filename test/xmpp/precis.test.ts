import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  isULabel,
  MAX_PRECIS_LENGTH,
  nickname,
  nicknameKey,
  obeysBidiRule,
  opaqueString,
  usernameCaseMapped,
} from '../../src/xmpp/precis.ts';

const SEED = 8264;

test('RFC 8265 §3.5: examples of usernames', () => {
  const table: [string, string | undefined][] = [
    ['juliet@example.com', 'juliet@example.com'],
    ['fussball', 'fussball'],
    ['fußball', 'fußball'],
    ['π', 'π'],
    ['Σ', 'σ'],
    ['σ', 'σ'],
    ['ς', 'ς'],
    ['foo bar', undefined],
    ['', undefined],
    ['henryⅣ', undefined],
    ['∞', undefined],
  ];
  for (const [text, expected] of table) assert.equal(usernameCaseMapped(text), expected, JSON.stringify(text));
});

test('RFC 8265 §4.3: examples of passwords', () => {
  const table: [string, string | undefined][] = [
    ['correct horse battery staple', 'correct horse battery staple'],
    ['Correct Horse Battery Staple', 'Correct Horse Battery Staple'],
    ['πßå', 'πßå'],
    ['Jack of ♦s', 'Jack of ♦s'],
    ['foo\u1680bar', 'foo bar'], // OGHAM SPACE MARK becomes a space
    ['', undefined],
    ['my cat is a \u0009by', undefined],
  ];
  for (const [text, expected] of table) assert.equal(opaqueString(text), expected, JSON.stringify(text));
});

test('RFC 8266 §3: examples of nicknames', () => {
  const table: [string, string][] = [
    ['Foo', 'foo'],
    ['foo', 'foo'],
    ['Foo Bar', 'foo bar'],
    ['foo bar', 'foo bar'],
    ['Σ', 'σ'],
    ['σ', 'σ'],
    ['ς', 'ς'],
    ['♚', '♚'],
    ['Richard \u2163', 'richard iv'],
  ];
  for (const [text, expected] of table) assert.equal(nicknameKey(text), expected, JSON.stringify(text));
  assert.equal(nickname('  Foo   Bar \u00A0'), 'Foo Bar'); // §2.1: outer spaces cut, inner ones single
  assert.equal(nickname(' \u3000 '), undefined);
  assert.equal(nickname('a\u00B4b'), 'a \u0301b'); // NFKC makes a space, and the next round leaves it single
});

test('RFC 8264 §5.2.1: width mapping comes before the class is asked', () => {
  assert.equal(usernameCaseMapped('ＪＵＬＩＥＴ'), 'juliet');
  assert.equal(usernameCaseMapped('ｶﾞ'), 'ガ');
  assert.equal(usernameCaseMapped('a\u3000b'), undefined);
  assert.equal(opaqueString('ＪＵＬＩＥＴ'), 'ＪＵＬＩＥＴ'); // RFC 8265 §4.2.1: none for passwords
});

test('RFC 8265 §3.3.1: usernames are compared in NFC and lower case', () => {
  assert.equal(usernameCaseMapped('e\u0301'), 'é');
  assert.equal(usernameCaseMapped('É'), 'é');
  assert.equal(usernameCaseMapped('\u0130'), 'i\u0307');
  assert.equal(usernameCaseMapped('\u212A'), undefined); // KELVIN SIGN has a compatibility mapping: §9.17
});

/** RFC 8264 §8 word for word, one code point at a time; an oracle for the sets of the implementation. */
function derivedProperty(char: string): 'PVALID' | 'FREE_PVAL' | 'CONTEXT' | 'DISALLOWED' {
  const is = (pattern: RegExp) => pattern.test(char);
  if (is(/[\u00DF\u03C2\u06FD\u06FE\u0F0B\u3007]/u)) return 'PVALID';
  if (is(/[\u00B7\u0375\u05F3\u05F4\u30FB\u0660-\u0669\u06F0-\u06F9]/u)) return 'CONTEXT';
  if (is(/[\u0640\u07FA\u302E\u302F\u3031-\u3035\u303B]/u)) return 'DISALLOWED';
  if (is(/\p{Cn}/u) && !is(/\p{Noncharacter_Code_Point}/u)) return 'DISALLOWED';
  if (is(/[!-~]/)) return 'PVALID';
  if (is(/\p{Join_Control}/u)) return 'CONTEXT';
  if (is(/[\u1100-\u11FF\uA960-\uA97C\uD7B0-\uD7C6\uD7CB-\uD7FB]/u)) return 'DISALLOWED';
  if (is(/[\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}]/u)) return 'DISALLOWED';
  if (is(/\p{Cc}/u)) return 'DISALLOWED';
  if (char.normalize('NFKC') !== char) return 'FREE_PVAL';
  if (is(/[\p{Ll}\p{Lu}\p{Lo}\p{Nd}\p{Lm}\p{Mn}\p{Mc}]/u)) return 'PVALID';
  if (is(/[\p{Lt}\p{Nl}\p{No}\p{Me}\p{Zs}\p{Sm}\p{Sc}\p{Sk}\p{So}\p{Pc}\p{Pd}\p{Ps}\p{Pe}\p{Pi}\p{Pf}\p{Po}]/u)) return 'FREE_PVAL';
  return 'DISALLOWED';
}

test('RFC 8264 §8: FreeformClass and IdentifierClass agree with the algorithm at every assigned plane', () => {
  const ranges: [number, number][] = [
    [0, 0xd7ff],
    [0xe000, 0x1ffff],
    [0x2f800, 0x2fa1f],
    [0x31300, 0x3137f],
    [0xe0000, 0xe01ff],
    [0xf0000, 0xf000f],
    [0x10fff0, 0x10ffff],
  ];
  let seen = 0;
  for (const [from, to] of ranges) {
    for (let code = from; code <= to; code++) {
      const char = String.fromCodePoint(code);
      const property = derivedProperty(char);
      if (property === 'CONTEXT') continue;
      // As a password: alone, NFC may replace it, so compare what it became.
      const freeform = opaqueString(char) !== undefined;
      const mapped = /\p{Zs}/u.test(char) ? ' ' : char.normalize('NFC');
      const freeformExpected = [...mapped].every((c) => ['PVALID', 'FREE_PVAL'].includes(derivedProperty(c)));
      if (freeform !== freeformExpected) assert.fail(`freeform U+${code.toString(16)}: ${freeform}`);
      // As a label: after a letter of the same direction, unmapped.
      if (char.toLowerCase() === char && char.normalize('NFC') === char && code > 0x7f) {
        const label = isULabel('a' + char + 'a') || isULabel('\u05D0' + char + '\u05D0') || isULabel('a' + char + '1');
        if (label !== (property === 'PVALID')) assert.fail(`identifier U+${code.toString(16)}: ${label}, ${property}`);
      }
      seen++;
    }
  }
  assert.ok(seen > 120_000);
});

test('RFC 5892 Appendix A.1: ZERO WIDTH NON-JOINER after a virama or between joining letters only', () => {
  assert.equal(opaqueString('\u0915\u094D\u200C\u0937'), '\u0915\u094D\u200C\u0937');
  assert.equal(usernameCaseMapped('\u0646\u0627\u0645\u0647\u200C\u0627\u06CC'), '\u0646\u0627\u0645\u0647\u200C\u0627\u06CC'); // نامه‌ای
  assert.equal(usernameCaseMapped('\u0628\u064B\u200C\u064B\u0628') !== undefined, true); // transparent marks between
  assert.equal(usernameCaseMapped('\u0627\u200C\u0628'), undefined); // alef does not join what follows
  for (const text of ['a\u200Cb', '\u200C', '\u200Ca', 'a\u200C', '\u0628\u200C']) assert.equal(opaqueString(text), undefined);
});

test('RFC 5892 Appendix A.2: ZERO WIDTH JOINER after a virama only', () => {
  assert.equal(opaqueString('\u0915\u094D\u200D'), '\u0915\u094D\u200D');
  assert.equal(opaqueString('\u0628\u200D\u0628'), undefined);
  assert.equal(opaqueString('👩\u200D💻'), undefined);
});

test('RFC 5892 Appendix A.3: MIDDLE DOT between two l only', () => {
  assert.equal(usernameCaseMapped('col·la'), 'col·la');
  for (const text of ['co·lla', '·ll', 'll·', 'l·', '·']) assert.equal(usernameCaseMapped(text), undefined, text);
});

test('RFC 5892 Appendix A.4 to A.6: keraia before Greek, geresh and gershayim after Hebrew', () => {
  assert.equal(usernameCaseMapped('\u0375α'), '\u0375α');
  assert.equal(usernameCaseMapped('\u0375a'), undefined);
  assert.equal(usernameCaseMapped('α\u0375'), undefined);
  assert.equal(usernameCaseMapped('צ\u05F3'), 'צ\u05F3');
  assert.equal(usernameCaseMapped('רמב\u05F4ם'), 'רמב\u05F4ם');
  assert.equal(usernameCaseMapped('\u05F3צ'), undefined);
});

test('RFC 5892 Appendix A.7: KATAKANA MIDDLE DOT beside kana or Han somewhere', () => {
  assert.equal(usernameCaseMapped('a・ア'), 'a・ア');
  assert.equal(usernameCaseMapped('a・b'), undefined);
});

test('RFC 5892 Appendix A.8 and A.9: the two kinds of Arabic-Indic digits do not mix', () => {
  assert.equal(usernameCaseMapped('ب\u0661'), 'ب\u0661');
  assert.equal(usernameCaseMapped('ب\u06F1'), 'ب\u06F1');
  assert.equal(usernameCaseMapped('ب\u0661\u06F1'), undefined);
  assert.equal(usernameCaseMapped('ب\u06F1\u0661'), undefined);
});

test('RFC 5893 §2: the Bidi Rule, condition by condition', () => {
  const table: [string, boolean][] = [
    ['abc', true],
    ['אבג', true],
    ['אבג123', true],
    ['1אבג', false], // 1
    ['\u0661\u0662', false], // 1: Arabic numbers alone
    ['אבגabc', false], // 2
    ['abcאבג', false], // 5
    ['א-', false], // 3
    ['א\u05B0', true], // 3: nonspacing marks may follow the end
    ['א-\u05B0', false],
    ['ב\u06F1\u0661', false], // 4
    ['ב-1', true],
    ['é', true],
  ];
  for (const [text, expected] of table) assert.equal(obeysBidiRule(text), expected, JSON.stringify(text));
  assert.equal(usernameCaseMapped('אבגabc'), undefined);
  assert.equal(opaqueString('אבגabc'), 'אבגabc'); // RFC 8265 §4.2.1: not for passwords
});

test('RFC 5891 §4.2.3: labels neither begin with a mark nor carry hyphens where A-labels do', () => {
  for (const label of ['bücher', 'ü-x', '例え', 'παράδειγμα']) assert.ok(isULabel(label), label);
  for (const label of ['\u0301a', '-ü', 'ü-', 'xn--ü', 'ab--ü', 'Ü', 'e\u0301', 'ü_x', '☃', '', 'ü.x']) assert.ok(!isULabel(label), label);
});

test('an unpaired surrogate, and text beyond the bound, are refused', () => {
  for (const profile of [usernameCaseMapped, opaqueString, nickname, nicknameKey]) {
    assert.equal(profile('a\uD800'), undefined);
    assert.equal(profile('\uDC00a'), undefined);
    assert.notEqual(profile('a'.repeat(MAX_PRECIS_LENGTH)), undefined);
    assert.equal(profile('a'.repeat(MAX_PRECIS_LENGTH + 1)), undefined);
  }
});

test('UAX #15 §13: text with more marks in a row than any language stacks is refused, in every order', () => {
  for (const marks of ['\u0301'.repeat(31), '\u0301\u0323'.repeat(20), '\u0323\u0301'.repeat(700)]) {
    for (const profile of [usernameCaseMapped, opaqueString, nickname, nicknameKey]) assert.equal(profile(`a${marks}`), undefined);
  }
  assert.notEqual(opaqueString(`a${'\u0301'.repeat(30)}`), undefined);
});

test('RFC 8264 §7: every profile leaves its own results unchanged', () => {
  const codes = fc.oneof(
    fc.integer({ min: 0x20, max: 0x7e }),
    fc.integer({ min: 0xa0, max: 0x6ff }),
    fc.integer({ min: 0x900, max: 0x17ff }),
    fc.integer({ min: 0x1e00, max: 0x33ff }),
    fc.integer({ min: 0xf900, max: 0xffef }),
    fc.integer({ min: 0x10000, max: 0x1f9ff }),
    fc.constantFrom(0x200c, 0x200d, 0xfe0f, 0x345, 0x3a3, 0x130, 0x149, 0x1f0, 0x390),
  );
  const texts = fc.array(codes, { maxLength: 12 }).map((points) => String.fromCodePoint(...points));
  let accepted = 0;
  fc.assert(
    fc.property(texts, (text) => {
      for (const profile of [usernameCaseMapped, opaqueString, nickname, nicknameKey]) {
        const once = profile(text);
        if (once === undefined) continue;
        accepted++;
        assert.equal(profile(once), once);
        assert.equal(once.normalize('NFC'), once);
      }
    }),
    { seed: SEED, numRuns: 4000 },
  );
  assert.ok(accepted > 1000, `only ${accepted} accepted`);
});
