import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { startMechanism, type SaslContext, type Step } from '../../src/sasl/mechanism.ts';
import {
  deriveScramCredentials,
  fakeScramCredentials,
  verifyPassword,
  type ScramCredentials,
  type ScramHash,
} from '../../src/sasl/scram.ts';
import { opaqueString } from '../../src/xmpp/precis.ts';
import { DECOY, END_POINT, EXPORTER, saslContext } from './sasl-context.ts';
import { ScramClient, type ScramClientOptions } from './scram-client.ts';

const SEED = 5802;
const HASHES: readonly ScramHash[] = ['SHA-1', 'SHA-256', 'SHA-512'];
const PENCIL = opaqueString('pencil')!;
/** Few, so that thousands of exchanges take a moment. */
const ITERATIONS = 64;
const credentials = new Map(
  HASHES.map((hash) => [hash, deriveScramCredentials(PENCIL, hash, ITERATIONS, Buffer.from('0123456789abcdef'))]),
);

function ofKind<K extends Step['kind']>(step: Step | undefined, kind: K): Extract<Step, { kind: K }> {
  assert.equal(step?.kind, kind, JSON.stringify(step));
  return step as Extract<Step, { kind: K }>;
}

function failsWith(step: Step, condition: string): void {
  assert.equal(ofKind(step, 'failure').condition, condition);
}

interface Run {
  readonly context?: Partial<SaslContext>;
  readonly found?: ScramCredentials | undefined;
  readonly isEnabled?: boolean;
  readonly tamper?: {
    readonly first?: (message: Buffer) => Buffer;
    readonly challenge?: (message: Buffer) => Buffer;
    readonly final?: (message: Buffer) => Buffer;
  };
}

/** A whole exchange; `undefined` where the client gave up. */
function login(
  options: ScramClientOptions,
  run: Run = {},
): { readonly step: Step | undefined; readonly client: ScramClient; readonly challenge: string } {
  const same = (message: Buffer): Buffer => message;
  const { first = same, challenge = same, final = same } = run.tamper ?? {};
  const exchange = startMechanism(options.mechanism, saslContext(run.context))!;
  const client = new ScramClient(options);
  let step = exchange.start(first(client.first()));
  if (step.kind !== 'need_credentials') return { step, client, challenge: '' };
  step = exchange.credentials('found' in run ? run.found : credentials.get(step.hash), run.isEnabled ?? true);
  const { data } = ofKind(step, 'challenge');
  let answer: Buffer;
  try {
    answer = client.final(challenge(data));
  } catch {
    return { step: undefined, client, challenge: data.toString() };
  }
  return { step: exchange.respond(final(answer)), client, challenge: data.toString() };
}

const juliet = (mechanism: string, more: Partial<ScramClientOptions> = {}): ScramClientOptions => ({
  mechanism,
  username: 'juliet',
  password: 'pencil',
  ...(mechanism.endsWith('-PLUS') ? { channelBinding: EXPORTER } : {}),
  ...more,
});

test('RFC 5802 §5: the example exchange', () => {
  const found = deriveScramCredentials(PENCIL, 'SHA-1', 4096, Buffer.from('QSXCR+Q6sek8bf92', 'base64'));
  const exchange = startMechanism('SCRAM-SHA-1', saslContext({ isDowngradeProtected: false, makeNonce: () => '3rfcNHYJY1ZVvWVs7j' }))!;
  const asked = ofKind(exchange.start(Buffer.from('n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL')), 'need_credentials');
  assert.deepEqual([asked.username, asked.hash], ['user', 'SHA-1']);
  const challenge = ofKind(exchange.credentials(found), 'challenge');
  assert.equal(challenge.data.toString(), 'r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096');
  const end = ofKind(
    exchange.respond(Buffer.from('c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=')),
    'success',
  );
  assert.equal(end.username, 'user');
  assert.equal(end.data?.toString(), 'v=rmF9pqV8S7suAoZWja4dJRkFsKQ=');
});

test('RFC 7677 §3: the example exchange', () => {
  const found = deriveScramCredentials(PENCIL, 'SHA-256', 4096, Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64'));
  const exchange = startMechanism(
    'SCRAM-SHA-256',
    saslContext({ isDowngradeProtected: false, makeNonce: () => '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0' }),
  )!;
  ofKind(exchange.start(Buffer.from('n,,n=user,r=rOprNGfwEbeRWgbNEkqO')), 'need_credentials');
  const challenge = ofKind(exchange.credentials(found), 'challenge');
  assert.equal(challenge.data.toString(), 'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096');
  const end = ofKind(
    exchange.respond(
      Buffer.from('c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ='),
    ),
    'success',
  );
  assert.equal(end.data?.toString(), 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=');
});

test('XEP-0474 §6.3: the example exchange, with channel binding and an extension', () => {
  const found = deriveScramCredentials(PENCIL, 'SHA-1', 4096, Buffer.from('QSXCR+Q6sek8bf92', 'base64'));
  const exchange = startMechanism('SCRAM-SHA-1-PLUS', {
    ...saslContext({ offered: ['SCRAM-SHA-1', 'SCRAM-SHA-1-PLUS'], makeNonce: () => 'a09117a6-ac50-4f2f-93f1-93799c2bddf6' }),
    channelBindings: [END_POINT, { type: 'tls-exporter', data: Buffer.from('THIS IS FAKE CB DATA') }],
  })!;
  ofKind(exchange.start(Buffer.from('p=tls-exporter,,n=user,r=12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6')), 'need_credentials');
  const challenge = ofKind(exchange.credentials(found), 'challenge');
  const nonce = '12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6a09117a6-ac50-4f2f-93f1-93799c2bddf6';
  assert.equal(challenge.data.toString(), `r=${nonce},s=QSXCR+Q6sek8bf92,i=4096,h=G6k/rBLDqgOhRRaCuuatSDFkJ08=`);
  const final = `c=cD10bHMtZXhwb3J0ZXIsLFRISVMgSVMgRkFLRSBDQiBEQVRB,r=${nonce},x=19C6532F-1CF4-4A27-A18D-DC9CEA41BBB3,p=M/SIDjT+dfcxUh89jZEypRvFxB4=`;
  assert.equal(ofKind(exchange.respond(Buffer.from(final)), 'success').data?.toString(), 'v=MQrMPvv7yv4x4Cq4W4Ih25EqS2c=');
});

for (const hash of HASHES) {
  for (const suffix of ['', '-PLUS']) {
    const mechanism = `SCRAM-${hash}${suffix}`;
    test(`${mechanism}: both sides prove themselves, and a wrong password fails`, () => {
      const { step, client } = login(juliet(mechanism));
      const end = ofKind(step, 'success');
      assert.equal(end.username, 'juliet');
      assert.ok(client.isServerProved(end.data!));
      failsWith(login(juliet(mechanism, { password: 'pencil2' })).step!, 'not-authorized');
      assert.ok(client.isOfferUntouched(saslContext().offered, ['tls-exporter', 'tls-server-end-point']));
    });
  }
}

test("RFC 5802 §6: either channel binding is taken, with this connection's data only", () => {
  for (const channelBinding of [EXPORTER, END_POINT]) ofKind(login(juliet('SCRAM-SHA-256-PLUS', { channelBinding })).step, 'success');
  failsWith(
    login(juliet('SCRAM-SHA-256-PLUS', { channelBinding: { type: 'tls-exporter', data: Buffer.alloc(32, 8) } })).step!,
    'not-authorized',
  );
  failsWith(
    login(juliet('SCRAM-SHA-256-PLUS', { channelBinding: { type: 'tls-exporter', data: END_POINT.data } })).step!,
    'not-authorized',
  );
  failsWith(login(juliet('SCRAM-SHA-256-PLUS', { channelBinding: { type: 'tls-unique', data: EXPORTER.data } })).step!, 'not-authorized');
  failsWith(login(juliet('SCRAM-SHA-256-PLUS'), { context: { channelBindings: [END_POINT] } }).step!, 'not-authorized');
});

test('RFC 5802 §6: the flag must fit the mechanism', () => {
  for (const flag of ['n', 'y', 'n=x', 'p', 'p=', 'P=tls-exporter', 'x', '']) {
    const first = Buffer.from(`${flag},,n=juliet,r=abc`);
    failsWith(startMechanism('SCRAM-SHA-1-PLUS', saslContext())!.start(first), 'malformed-request');
  }
  failsWith(startMechanism('SCRAM-SHA-1', saslContext())!.start(Buffer.from('p=tls-exporter,,n=juliet,r=abc')), 'malformed-request');
});

test('RFC 5802 §6: "y" is refused where -PLUS was advertised, else taken', () => {
  failsWith(login(juliet('SCRAM-SHA-256', { flag: 'y' })).step!, 'not-authorized');
  ofKind(login(juliet('SCRAM-SHA-256', { flag: 'y' }), { context: { offered: ['SCRAM-SHA-256', 'PLAIN'] } }).step, 'success');
  ofKind(login(juliet('SCRAM-SHA-256', { flag: 'n' })).step, 'success');
});

test('XEP-0474: a client notices a mechanism taken out of the list, and one put in', () => {
  const { client } = login(juliet('SCRAM-SHA-1', { flag: 'n' }));
  const offered = saslContext().offered;
  const types = ['tls-exporter', 'tls-server-end-point'];
  assert.ok(client.isOfferUntouched(offered, types));
  assert.ok(
    !client.isOfferUntouched(
      offered.filter((name) => !name.includes('512')),
      types,
    ),
  );
  assert.ok(!client.isOfferUntouched(offered, ['tls-server-end-point']));
  assert.ok(!client.isOfferUntouched([...offered, 'X'], types));
  const plain = login(juliet('SCRAM-SHA-1'), { context: { offered: ['SCRAM-SHA-1', 'PLAIN'], channelBindings: [] } }).client;
  assert.ok(plain.isOfferUntouched(['PLAIN', 'SCRAM-SHA-1'], []));
  assert.doesNotMatch(login(juliet('SCRAM-SHA-1'), { context: { isDowngradeProtected: false } }).challenge, /,h=/);
});

test('RFC 6120 §6.3.8: an authzid may repeat the account, and nothing else', () => {
  for (const authzid of ['juliet', 'juliet@capulet.example', 'JULIET@Capulet.Example', 'Juliet']) {
    assert.equal(ofKind(login(juliet('SCRAM-SHA-256', { authzid })).step, 'success').username, 'juliet', authzid);
  }
  for (const authzid of [
    'romeo',
    'juliet@montague.example',
    'romeo@capulet.example',
    'juliet@capulet.example/balcony',
    'capulet.example',
    '@',
    'a,b=c',
  ]) {
    failsWith(login(juliet('SCRAM-SHA-256', { authzid })).step!, 'invalid-authzid');
  }
});

test('RFC 5802 §5.1: user names are prepared, also when sent as a bare JID', () => {
  for (const username of ['juliet', 'JULIET', 'ｊｕｌｉｅｔ', 'juliet@capulet.example'])
    assert.equal(ofKind(login(juliet('SCRAM-SHA-256', { username })).step, 'success').username, 'juliet', username);
  for (const username of ['juliet@montague.example', 'ju liet', 'a,b"', '♚'])
    failsWith(login(juliet('SCRAM-SHA-256', { username })).step!, 'not-authorized');
  assert.equal(ofKind(login(juliet('SCRAM-SHA-256', { username: 'a,b=c' })).step, 'success').username, 'a,b=c');
});

test('an unknown account, a disabled one and a wrong password look the same', () => {
  const unknown = login(juliet('SCRAM-SHA-256', { username: 'nobody' }), { found: undefined });
  const again = login(juliet('SCRAM-SHA-256', { username: 'NOBODY', nonce: 'abc' }), { found: undefined });
  const disabled = login(juliet('SCRAM-SHA-256'), { isEnabled: false });
  const wrong = login(juliet('SCRAM-SHA-256', { password: 'x' }));
  const enabled = login(juliet('SCRAM-SHA-256'));
  for (const { step } of [unknown, again, disabled, wrong]) assert.deepEqual(step, { kind: 'failure', condition: 'not-authorized' });
  const salt = (challenge: string): string | undefined => /,s=([^,]*)/.exec(challenge)?.[1];
  assert.equal(salt(unknown.challenge), salt(again.challenge)); // the same name keeps its salt
  assert.equal(salt(disabled.challenge), salt(enabled.challenge));
  const shape = (challenge: string): string => challenge.replace(/[A-Za-z0-9+/]/g, 'x');
  assert.equal(shape(unknown.challenge), shape(wrong.challenge));
});

test('made-up credentials: what is shown of them is stable and different by name, hash and secret; no password matches', () => {
  const one = fakeScramCredentials(DECOY.serverSecret, 'juliet', 'SHA-256', 10);
  assert.deepEqual(one, fakeScramCredentials(DECOY.serverSecret, 'juliet', 'SHA-256', 10));
  for (const other of [
    fakeScramCredentials(DECOY.serverSecret, 'romeo', 'SHA-256', 10),
    fakeScramCredentials(DECOY.serverSecret, 'juliet', 'SHA-1', 10),
    fakeScramCredentials(Buffer.alloc(32, 2), 'juliet', 'SHA-256', 10),
  ]) {
    assert.notDeepEqual(other.salt, one.salt);
  }
  assert.equal(verifyPassword(PENCIL, one), false);
  for (const hash of HASHES) {
    const real = deriveScramCredentials(PENCIL, hash, 10);
    const fake = fakeScramCredentials(DECOY.serverSecret, 'juliet', hash, 10);
    for (const key of ['salt', 'storedKey', 'serverKey'] as const) assert.equal(fake[key].length, real[key].length);
    assert.ok(verifyPassword(PENCIL, real));
    assert.ok(!verifyPassword(opaqueString('pencils')!, real));
    assert.notDeepEqual(deriveScramCredentials(PENCIL, hash, 10).salt, real.salt);
  }
});

test('RFC 5802 §7: client-first messages that are none', () => {
  const long = 'r'.repeat(257);
  for (const text of [
    '',
    ',',
    ',,',
    'n',
    'n,',
    'n,,',
    'n,,n=juliet',
    'n,,n=juliet,',
    'n,,r=abc,n=juliet',
    'n,,n=,r=abc',
    'n,,n=juliet,r=',
    'n,,n=juliet,r=a b',
    'n,,n=juliet,r=a\u00e9',
    'n,,m=x,n=juliet,r=abc',
    'n,,n=juliet,m=x,r=abc',
    'n,,n=juliet,r=abc,m=x',
    'n,,n=ju=liet,r=abc',
    'n,,n=ju=2cliet,r=abc',
    'n,,n=juliet=,r=abc',
    'n,a=,n=juliet,r=abc',
    'n,b=x,n=juliet,r=abc',
    'n,a=x=y,n=juliet,r=abc',
    'n,,n=juliet,r=abc,',
    'n,,n=juliet,r=abc,x',
    'n,,n=juliet,r=abc,x=',
    'n,,n=juliet,r=abc,r=def',
    'n,,n=ju\0liet,r=abc',
    ` n,,n=juliet,r=abc`,
    `n,,n=juliet,r=${long}`,
    `n,,n=juliet,r=abc${',x=1'.repeat(20)}`,
    'n,a=x,a=y,n=juliet,r=abc',
  ]) {
    failsWith(startMechanism('SCRAM-SHA-1', saslContext())!.start(Buffer.from(text)), 'malformed-request');
  }
  failsWith(startMechanism('SCRAM-SHA-1', saslContext())!.start(Buffer.from('n,,n=juliet\xff,r=abc', 'latin1')), 'malformed-request');
  ofKind(startMechanism('SCRAM-SHA-1', saslContext())!.start(Buffer.from('n,,n=juliet,r=abc,x=1,Y=2')), 'need_credentials');
});

test('RFC 5802 §7: client-final messages that are none, or answer another challenge', () => {
  const rewrite = (change: (text: string) => string): Step =>
    login(juliet('SCRAM-SHA-1'), { tamper: { final: (message) => Buffer.from(change(message.toString())) } }).step!;
  ofKind(
    rewrite((text) => text),
    'success',
  );
  for (const change of [
    () => '',
    () => ',p=',
    (text: string) => text.replace(/,p=.*/, ''),
    (text: string) => text.replace(/p=.*/, 'p='),
    (text: string) => text.replace(/=$/, ''), // not canonical base64
    (text: string) => text.replace(/p=/, 'p= '),
    (text: string) => text.replace('c=', 'd='),
    (text: string) => text.replace('c=biws', 'c=biw'),
    (text: string) => text.replace('c=biws', 'c=biwt='),
    (text: string) => text.replace(',r=', ',m=1,r='),
    (text: string) => text.replace(',p=', ',m=1,p='),
    (text: string) => text.replace(',p=', ',c=biws,p='),
    (text: string) => text.replace('r=', 'r=\0'),
    (text: string) => text + ',x=1',
  ]) {
    failsWith(rewrite(change), 'malformed-request');
  }
  for (const change of [
    (text: string) => text.replace('c=biws', 'c=eSws'), // "y,,": not what was said first
    (text: string) => text.replace('c=biws', 'c='),
    (text: string) => text.replace(/r=./, 'r=%'),
    (text: string) => text.replace(/(r=[^,]*)[^,]/, '$1'),
    (text: string) => text.replace(/p=.*/, `p=${Buffer.alloc(20).toString('base64')}`),
    (text: string) => text.replace(',p=', ',x=1,p='), // signed by nobody
  ]) {
    failsWith(rewrite(change), 'not-authorized');
  }
  ofKind(login(juliet('SCRAM-SHA-1', { extension: 'x=1,Z=2' })).step, 'success');
});

test('a proof is good for its own exchange only', () => {
  let recorded: Buffer | undefined;
  const record = (message: Buffer): Buffer => (recorded ??= message);
  ofKind(login(juliet('SCRAM-SHA-256', { nonce: 'abc' }), { tamper: { final: record } }).step, 'success');
  failsWith(login(juliet('SCRAM-SHA-256', { nonce: 'abc' }), { tamper: { final: record } }).step!, 'not-authorized');
});

test('credentials of another hash are a bug of the caller', () => {
  const exchange = startMechanism('SCRAM-SHA-256', saslContext())!;
  exchange.start(Buffer.from('n,,n=juliet,r=abc'));
  assert.throws(() => exchange.credentials(credentials.get('SHA-1')), /SHA-1/);
});

interface Mutation {
  readonly kind: 'flip' | 'insert' | 'delete' | 'duplicate' | 'cut' | 'splice';
  readonly at: number;
  readonly value: number;
}

const mutations: fc.Arbitrary<Mutation> = fc.record({
  kind: fc.constantFrom('flip', 'insert', 'delete', 'duplicate', 'cut', 'splice'),
  at: fc.nat(10_000),
  value: fc.oneof(fc.integer({ min: 1, max: 255 }), fc.constantFrom(...[...Buffer.from(',=nrcpsimva \0')].filter((byte) => byte > 0))),
});

function mutate(message: Buffer, { kind, at, value }: Mutation): Buffer {
  const i = at % Math.max(message.length, 1);
  const [head, tail] = [message.subarray(0, i), message.subarray(i)];
  switch (kind) {
    case 'flip':
      return Buffer.concat([head, Buffer.of((tail[0] ?? 0) ^ value), tail.subarray(1)]);
    case 'insert':
      return Buffer.concat([head, Buffer.of(value), tail]);
    case 'delete':
      return Buffer.concat([head, tail.subarray(1 + (value % 8))]);
    case 'duplicate':
      return Buffer.concat([head, tail.subarray(0, 1 + (value % 16)), tail]);
    case 'cut':
      return head;
    case 'splice':
      return Buffer.concat([tail, head]);
  }
}

for (const message of ['first', 'challenge', 'final'] as const) {
  test(`no mutation of the ${message} message succeeds or throws`, () => {
    let changed = 0;
    fc.assert(
      fc.property(
        fc.constantFrom('SCRAM-SHA-1', 'SCRAM-SHA-256-PLUS', 'SCRAM-SHA-512'),
        fc.array(mutations, { minLength: 1, maxLength: 3 }),
        (mechanism, list) => {
          let isChanged = false;
          const tamper = (original: Buffer): Buffer => {
            const mutated = list.reduce(mutate, original);
            isChanged = !mutated.equals(original);
            return mutated;
          };
          const { step, client } = login(juliet(mechanism), { tamper: { [message]: tamper } });
          if (!isChanged) return;
          changed++;
          if (step?.kind === 'success') assert.fail(`accepted ${JSON.stringify(list)}`);
          assert.ok(step === undefined || step.kind === 'failure');
          assert.ok(!client.isServerProved(Buffer.from('v=')));
        },
      ),
      { seed: SEED, numRuns: 1500 },
    );
    assert.ok(changed > 1000);
  });
}
