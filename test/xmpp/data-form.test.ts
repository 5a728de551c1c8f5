import assert from 'node:assert/strict';
import { test } from 'node:test';
import { el, type Element } from '../../src/xml/element.ts';
import { serialize } from '../../src/xml/serialize.ts';
import {
  dataFormElement,
  fieldOf,
  FORM_LIMITS,
  FORM_TYPE,
  formTypeField,
  formTypeOf,
  parseBoolean,
  parseDataForm,
  type DataForm,
} from '../../src/xmpp/data-form.ts';
import {
  booleanField,
  buildForm,
  buildResult,
  choiceField,
  choicesField,
  defineForm,
  hiddenField,
  integerField,
  jidField,
  jidsField,
  linesField,
  privateField,
  readSubmission,
  textField,
} from '../../src/xmpp/form-schema.ts';
import { isValidValue, parseValidation, validationElement, type Validation } from '../../src/xmpp/form-validation.ts';
import { parseJid } from '../../src/xmpp/jid.ts';
import { NS } from '../../src/xmpp/namespaces.ts';
import { StanzaError } from '../../src/xmpp/stanza-error.ts';

const x = (type: string, ...children: Element[]): Element => el('x', NS.dataForm, { type }, ...children);
const field = (name: string | undefined, values: string[] = [], type?: string, ...more: Element[]): Element =>
  el('field', NS.dataForm, { var: name, type }, ...values.map((value) => el('value', NS.dataForm, {}, value)), ...more);
const option = (...values: string[]): Element =>
  el('option', NS.dataForm, { label: 'L' }, ...values.map((value) => el('value', NS.dataForm, {}, value)));

/** XEP-0004 §5.1 */
const bot = defineForm({
  formType: 'jabber:bot',
  title: 'Bot Configuration',
  instructions: ['Fill out this form to configure your new bot!'],
  fields: {
    botname: textField({ label: 'The name of your bot', maxLength: 40 }),
    description: linesField({ label: 'Helpful description of your bot' }),
    public: booleanField({ label: 'Public bot?', isRequired: true }),
    password: privateField({ label: 'Password for special access' }),
    features: choicesField(
      { contests: 'Contests', news: 'News', polls: 'Polls', search: 'Search' },
      { label: 'What features will the bot support?' },
    ),
    maxsubs: choiceField({ '10': '10', '20': '20', none: 'None' }, { label: 'Maximum number of subscribers' }),
    invitelist: jidsField({ label: 'People to invite', desc: 'Tell all your friends about your new bot!' }),
    owner: jidField({ label: 'Owner' }),
    age: integerField({ label: 'Age', min: 1, max: 150 }),
    token: hiddenField(),
  },
});

function submit(...fields: Element[]) {
  return readSubmission(bot, parseDataForm(x('submit', field(FORM_TYPE, ['jabber:bot'], 'hidden'), field('public', ['0']), ...fields))!);
}

function valuesOf(...fields: Element[]) {
  const submission = submit(...fields);
  assert.ok(!(submission instanceof StanzaError) && submission.kind === 'submit', JSON.stringify(submission));
  return submission.values;
}

test('XEP-0004 §5.1: the form to fill in', () => {
  const form = buildForm(bot, { maxsubs: '20', features: ['news', 'search'], public: false });
  const xml = serialize(dataFormElement(form));
  assert.match(
    xml,
    /^<x xmlns='jabber:x:data' type='form'><title>Bot Configuration<\/title><instructions>Fill out this form to configure your new bot!<\/instructions><field var='FORM_TYPE' type='hidden'><value>jabber:bot<\/value><\/field>/,
  );
  assert.match(xml, /<field var='public' type='boolean' label='Public bot\?'><required\/><value>0<\/value><\/field>/);
  assert.match(
    xml,
    /<field var='features' type='list-multi' [^>]*><value>news<\/value><value>search<\/value><option label='Contests'><value>contests<\/value><\/option>/,
  );
  assert.match(xml, /<field var='invitelist' type='jid-multi' label='People to invite'><desc>Tell all your friends/);
  assert.match(
    xml,
    /<validate xmlns='http:\/\/jabber.org\/protocol\/xdata-validate' datatype='xs:integer'><range min='1' max='150'\/><\/validate>/,
  );
});

test('XEP-0004 §3: parse after print is the same form', () => {
  const form: DataForm = {
    ...buildForm(bot, { botname: 'a<b>&"', description: 'one\n\ntwo', public: true, invitelist: [parseJid('a@b')!], age: 7 }),
    reported: [{ var: 'name', label: 'Name', type: 'jid-single', values: [] }],
    items: [[{ var: 'name', values: ['a@b'] }], [{ var: 'name', values: [] }]],
  };
  const read = parseDataForm(dataFormElement(form))!;
  assert.equal(serialize(dataFormElement(read)), serialize(dataFormElement(form)));
  assert.deepEqual(
    read.fields.map(({ var: name, values, type }) => [name, values, type]),
    form.fields.map(({ var: name, values, type }) => [name, values, type]),
  );
  assert.equal(read.items?.length, 2);
});

test('XEP-0004 §3.2: forms that break a MUST', () => {
  for (const element of [
    el('x', NS.dataForm),
    x('Form'),
    el('x', 'urn:x', { type: 'form' }),
    x('submit', field(undefined, ['a'])), // no name
    x('submit', field('a', ['1']), field('a', ['2'])), // twice
    x('form', field('a', [], 'list-single', option())), // no value
    x('form', field('a', [], 'list-single', option('1', '2'))),
    x('result', el('reported', NS.dataForm, {}, field('a'), field('a'))),
    x('result', el('item', NS.dataForm, {}, field(undefined))),
  ]) {
    assert.equal(parseDataForm(element), undefined, serialize(element));
  }
  assert.ok(parseDataForm(x('form', field(undefined, ['Section 1'], 'fixed'), field(undefined, ['Section 2'], 'fixed'))));
  assert.equal(fieldOf(parseDataForm(x('form', field('a', [], 'text-emoji')))!, 'a')?.type, 'text-single'); // §3.3
});

test('forms past a limit are refused', () => {
  const many = <T>(count: number, make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));
  const { maxFields, maxItems, maxOptions, maxValues } = FORM_LIMITS;
  assert.ok(parseDataForm(x('submit', ...many(maxFields, (i) => field(`f${i}`)))));
  assert.equal(parseDataForm(x('submit', ...many(maxFields + 1, (i) => field(`f${i}`)))), undefined);
  assert.equal(parseDataForm(x('submit', field('a', many(maxValues + 1, String)))), undefined);
  assert.equal(parseDataForm(x('form', field('a', [], 'list-multi', ...many(maxOptions + 1, (i) => option(String(i)))))), undefined);
  assert.equal(parseDataForm(x('result', ...many(maxItems + 1, () => el('item', NS.dataForm, {}, field('a'))))), undefined);
  assert.equal(parseDataForm(x('submit', field('a'), field('b')), { ...FORM_LIMITS, maxFields: 1 }), undefined);
});

test('XEP-0068 §4: FORM_TYPE is hidden in forms and results, and may be bare in submissions', () => {
  const typeOf = (type: string, ...fields: Element[]): string | undefined => formTypeOf(parseDataForm(x(type, ...fields))!);
  assert.equal(typeOf('form', field(FORM_TYPE, ['a'], 'hidden')), 'a');
  assert.equal(typeOf('result', field(FORM_TYPE, ['a'], 'hidden')), 'a');
  assert.equal(typeOf('form', field(FORM_TYPE, ['a'], 'text-single')), undefined);
  assert.equal(typeOf('form', field(FORM_TYPE, ['a'])), undefined);
  assert.equal(typeOf('submit', field(FORM_TYPE, ['a'])), 'a');
  assert.equal(typeOf('submit', field(FORM_TYPE, ['a'], 'text-single')), undefined);
  assert.equal(typeOf('submit', field(FORM_TYPE, ['a', 'b'], 'hidden')), undefined);
  assert.equal(typeOf('submit'), undefined);
});

test('XEP-0004 §5.1: the submission, with typed values', () => {
  const values = valuesOf(
    field('botname', ['The Jabber Google Bot']),
    field('description', ['This bot enables', 'you to search']),
    field('password', ['v3r0na']),
    field('features', ['news', 'search', 'news']),
    field('maxsubs', ['20']),
    field('invitelist', ['juliet@capulet.com', 'Juliet@Capulet.com', 'benvolio@montague.net']),
    field('owner', ['romeo@montague.net/home']),
    field('age', ['42']),
    field('token', ['t']),
    field('unknown', ['ignored']),
  );
  const { invitelist, owner, ...rest } = values;
  assert.deepEqual(rest, {
    botname: 'The Jabber Google Bot',
    description: 'This bot enables\nyou to search',
    public: false,
    password: 'v3r0na',
    features: ['news', 'search'],
    maxsubs: '20',
    age: 42,
    token: 't',
  });
  assert.deepEqual(invitelist?.map(String), ['juliet@capulet.com', 'benvolio@montague.net']); // §3.3: duplicates are ignored
  assert.equal(owner?.full, 'romeo@montague.net/home');
});

test('XEP-0004 §3.5: fields left out are not among the values', () => {
  assert.deepEqual(valuesOf(), { public: false });
});

test('XEP-0004 §3.6: fields without a value', () => {
  assert.deepEqual(valuesOf(field('botname'), field('description'), field('features'), field('invitelist')), {
    public: false,
    botname: '',
    description: '',
    features: [],
    invitelist: [],
  });
  assert.deepEqual(valuesOf(field('maxsubs'), field('owner', ['']), field('age', [''])), { public: false });
});

test('XEP-0004 §4: what is not acceptable is named', () => {
  const table: [Element, string][] = [
    [field('botname', ['a'.repeat(41)]), 'botname'],
    [field('botname', ['a\nb']), 'botname'],
    [field('botname', ['a', 'b']), 'botname'],
    [field('features', ['news', 'sports']), 'features'],
    [field('features', ['constructor']), 'features'],
    [field('maxsubs', ['21']), 'maxsubs'],
    [field('maxsubs', ['10', '20']), 'maxsubs'],
    [field('invitelist', ['a@b', 'c d@e']), 'invitelist'],
    [field('owner', ['@']), 'owner'],
    [field('age', ['0']), 'age'],
    [field('age', ['151']), 'age'],
    [field('age', ['1e2']), 'age'],
    [field('age', ['9'.repeat(100)]), 'age'],
  ];
  for (const [element, name] of table) {
    const error = submit(element);
    assert.ok(error instanceof StanzaError, serialize(element));
    assert.equal(error.condition, 'not-acceptable');
    assert.match(error.text ?? '', new RegExp(`\\b${name}\\b`));
  }
  for (const value of ['yes', '', 'TRUE', '2']) {
    const error = readSubmission(bot, parseDataForm(x('submit', field('public', [value])))!);
    assert.equal(error instanceof StanzaError ? error.condition : '', 'not-acceptable', value);
  }
});

test('XEP-0004 §3.2: a required field must be there', () => {
  for (const element of [x('submit'), x('submit', field('public'))]) {
    const error = readSubmission(bot, parseDataForm(element)!);
    assert.ok(error instanceof StanzaError && error.condition === 'not-acceptable' && error.text?.includes('public'));
  }
});

test('XEP-0004 §3.1 and XEP-0068 §4: other kinds of form, and another FORM_TYPE', () => {
  assert.deepEqual(readSubmission(bot, { kind: 'cancel', fields: [] }), { kind: 'cancel' });
  const wrong = [
    x('form', field('public', ['1'])),
    x('result'),
    x('submit', field(FORM_TYPE, ['jabber:other'], 'hidden'), field('public', ['1'])),
  ];
  for (const element of wrong) {
    const error = readSubmission(bot, parseDataForm(element)!);
    assert.equal(error instanceof StanzaError ? error.condition : '', 'bad-request');
  }
  assert.deepEqual(readSubmission(bot, parseDataForm(x('submit', field('public', ['1'])))!), { kind: 'submit', values: { public: true } });
});

test('XEP-0128: a result has the values and no more', () => {
  const result = buildResult(bot, { botname: 'Joogle', age: 3 });
  assert.equal(result.kind, 'result');
  assert.deepEqual(
    result.fields.map(({ var: name, values }) => [name, values]),
    [
      [FORM_TYPE, ['jabber:bot']],
      ['botname', ['Joogle']],
      ['age', ['3']],
    ],
  );
  assert.deepEqual(formTypeField('a'), { var: FORM_TYPE, type: 'hidden', values: ['a'] });
});

test('XML Schema §3.2.2: booleans', () => {
  assert.deepEqual(['1', 'true', '0', 'false', 'True', '', 'no', '01'].map(parseBoolean), [
    true,
    true,
    false,
    false,
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
});

test('XEP-0122 §3: parse after print is the same validation', () => {
  const validations: Validation[] = [
    { datatype: 'xs:dateTime', method: 'basic' },
    { datatype: 'xs:string', method: 'open' },
    { datatype: 'xs:date', method: 'range', min: '2003-10-05', max: '2003-10-24' },
    { datatype: 'xs:int', method: 'range', max: '7' },
    { datatype: 'xs:string', method: 'regex', pattern: '([0-9]{3})-([0-9]{2})' },
    { datatype: 'xs:string', method: 'basic', minValues: 1, maxValues: 3 },
  ];
  for (const validation of validations) {
    const read = parseValidation(validationElement(validation))!;
    for (const key of ['datatype', 'method', 'min', 'max', 'pattern', 'minValues', 'maxValues'] as const)
      assert.equal(read[key], validation[key], key);
  }
  assert.deepEqual(parseValidation(el('validate', NS.dataFormValidation))?.datatype, 'xs:string');
  assert.equal(parseValidation(el('validate', NS.dataForm)), undefined);
});

test('XEP-0122 §3.1: datatypes', () => {
  const table: Record<string, string[][]> = {
    'xs:byte': [
      ['-128', '127', '+5', '007'],
      ['128', '-129', '', '1.0', 'x', '0x1'],
    ],
    'xs:short': [['32767'], ['32768']],
    'xs:int': [['2147483647', '-2147483648'], ['2147483648']],
    'xs:long': [['9223372036854775807', '-9223372036854775808'], ['9223372036854775808']],
    'xs:integer': [['123456789012345678901234567890'], ['1'.repeat(41), '1e3']],
    'xs:decimal': [
      ['1', '-1.5', '.5', '5.'],
      ['1e3', '.', '', 'NaN'],
    ],
    'xs:double': [
      ['1', '1.5e-3', '-2E9'],
      ['e3', 'Infinity', ''],
    ],
    'xs:date': [['2003-10-06'], ['2003-10-06T00:00:00Z', '2003-02-30']],
    'xs:dateTime': [['2003-10-06T11:22:00-07:00'], ['2003-10-06']],
    'xs:time': [
      ['11:22:00', '11:22:00.5Z'],
      ['11:22', '25:00:00'],
    ],
    'xs:language': [
      ['en', 'de-CH-1901'],
      ['', 'e n', '-en'],
    ],
    'xs:anyURI': [['http://example.org/', 'xmpp:a@b'], ['a b']],
    'xs:string': [['', 'anything'], []],
    'x:own': [['anything'], []],
    constructor: [['anything'], []],
  };
  for (const [datatype, [good = [], bad = []]] of Object.entries(table)) {
    for (const value of good) assert.ok(isValidValue(value, { datatype, method: 'basic' }), `${datatype} ${value}`);
    for (const value of bad) assert.ok(!isValidValue(value, { datatype, method: 'basic' }), `${datatype} ${value}`);
  }
});

test('XEP-0122 §3.2.3: ranges are inclusive, and open where no bound is named', () => {
  const range = (datatype: string, min?: string, max?: string): Validation => ({ datatype, method: 'range', min, max });
  assert.ok(isValidValue('5', range('xs:int', '5', '5')));
  assert.ok(!isValidValue('4', range('xs:int', '5')) && !isValidValue('6', range('xs:int', undefined, '5')));
  assert.ok(isValidValue('6', range('xs:int')));
  assert.ok(isValidValue('2003-10-06T00:00:00Z', range('xs:dateTime', '2003-10-05T23:00:00-01:00', '2003-10-06T02:00:00+02:00')));
  assert.ok(!isValidValue('-0.1', range('xs:decimal', '0')));
  assert.ok(isValidValue('9007199254740993', range('xs:long', '9007199254740993'))); // beyond doubles
  assert.ok(!isValidValue('9007199254740992', range('xs:long', '9007199254740993')));
});
