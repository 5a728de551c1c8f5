import assert from 'node:assert/strict';
import { test } from 'node:test';
import { confusableSkeleton, isMixedScript } from '../../src/xmpp/confusable.ts';

test('UTS 39 §5.2: one script, with digits and punctuation, is no mixture', () => {
  for (const local of ['juliet', 'juliet.capulet-99', 'джульетта', 'ιουλιέτα', 'जूलियट', 'יוליה', 'جولييت', 'ᏣᎳᎩ', '123', 'žluťoučký'])
    assert.ok(!isMixedScript(local), local);
});

test('UTS 39 §5.2: what Chinese, Japanese and Korean writing mixes is no mixture', () => {
  for (const local of ['東京タワー', 'ひらがなカタカナ漢字', 'tokyo東京', '한국漢字', 'taiwan臺灣ㄅㄆ'])
    assert.ok(!isMixedScript(local), local);
});

test('UTS 39 §5.2: other mixtures are told', () => {
  for (const local of ['аdmin', 'pаypal', 'αdmin', 'джυльетта', 'ひ한', 'aᏣ', 'juliet\u0661ب']) assert.ok(isMixedScript(local), local);
});

test('UTS 39 §4: look-alikes share a skeleton, others do not', () => {
  assert.equal(confusableSkeleton('аԁmіn'), confusableSkeleton('admin'));
  assert.equal(confusableSkeleton('раураӏ'), confusableSkeleton('paypal'));
  assert.equal(confusableSkeleton('modern'), confusableSkeleton('modem'));
  assert.equal(confusableSkeleton('b0b1'), confusableSkeleton('bobl'));
  assert.notEqual(confusableSkeleton('romeo'), confusableSkeleton('juliet'));
});
