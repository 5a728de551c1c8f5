/**
 * Rows of the table of threats about who somebody is: the host a stream is for, the account that was proved, the
 * mechanisms that were offered, and what guessing reveals. Played on whole streams; the mechanisms alone are in test/sasl.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import type { PasswordPool } from '../../src/core/context.ts';
import { makeTlsFacts } from '../../src/net/memory-pair.ts';
import { derive, verify } from '../../src/pool.ts';
import { MECHANISMS } from '../../src/sasl/mechanism.ts';
import { openMemory } from '../../src/store/memory.ts';
import type { Store } from '../../src/store/store.ts';
import { makeJid } from '../../src/xmpp/jid.ts';
import { opaqueString } from '../../src/xmpp/precis.ts';
import { pick, randomOf, type Random } from '../fuzz/xml-generator.ts';
import type { StreamClient } from '../harness/stream-client.ts';
import { childElements, childOf, textOf, type XmlElement } from '../harness/xml.ts';
import { TWO_ADDRESSES } from '../sasl/certificates.ts';
import { ScramClient, type ScramClientOptions } from '../sasl/scram-client.ts';
import { base64, DOMAIN, errorXml, FAST_POOL, OTHER_DOMAIN, SASL, Scene, threat } from './scene.ts';

const TLS = 'urn:ietf:params:xml:ns:xmpp-tls';
const REGISTER = 'jabber:iq:register';
const SEED = Number(process.env['ROOKERY_FUZZ_SEED'] ?? 20260102);

const auth = (mechanism: string, data: string | Buffer): string => `<auth xmlns='${SASL}' mechanism='${mechanism}'>${base64(data)}</auth>`;
const failure = (condition: string): string => `<failure xmlns='${SASL}'><${condition}/><text match:optional='true'>{any}</text></failure>`;

/** The next element, whatever it is. */
function nextOf(client: StreamClient): Promise<XmlElement> {
  return client.takes('an answer', () => true);
}

/** Sends a login of one message; the answer's name, or the failure's condition. */
async function tries(client: StreamClient, mechanism: string, data: string | Buffer): Promise<string> {
  await client.sends(auth(mechanism, data));
  return outcomeOf(await nextOf(client));
}

const outcomeOf = (answer: XmlElement): string => (answer.name === 'failure' ? childElements(answer)[0]!.name : answer.name);

/** A whole SCRAM login; the answer's name, or the failure's condition. */
async function triesScram(client: StreamClient, options: ScramClientOptions): Promise<string> {
  const scram = new ScramClient(options);
  await client.sends(auth(options.mechanism, scram.first()));
  const answer = await nextOf(client);
  if (answer.name !== 'challenge') return outcomeOf(answer);
  await client.sends(`<response xmlns='${SASL}'>${base64(scram.final(Buffer.from(textOf(answer), 'base64')))}</response>`);
  return outcomeOf(await nextOf(client));
}

/** After a success: the account that was logged in, as the bound address says. */
async function whoIsIn(client: StreamClient): Promise<string> {
  await client.opensStream();
  await client.receivesStream();
  await client.receivesFeatures();
  return (await client.binds()).replace(/\/.*$/, '');
}

// Stream switches virtual host after auth

threat('Stream switches virtual host after auth: another `to` after SASL ends the stream', async (scene) => {
  for (const to of [OTHER_DOMAIN, 'MONTAGUE.LIT', `${OTHER_DOMAIN}.`]) {
    const client = await scene.cast.raw();
    scene.cast.offline('romeo');
    await scene.cast.ready();
    await client.opensStream();
    await client.receivesStream();
    await client.receivesFeatures();
    await client.sends(auth('PLAIN', '\0romeo\0secret of romeo'));
    await client.receives(`<success xmlns='${SASL}'/>`);
    await client.opensStream({ to });
    await client.isClosedWith('not-authorized');
  }
});

threat('Stream switches virtual host after auth: nor between TLS and SASL', async (scene) => {
  const client = await scene.opened();
  await client.startsTls();
  await client.opensStream({ to: OTHER_DOMAIN });
  await client.isClosedWith('not-authorized');
});

threat(
  'Stream switches virtual host after auth: another spelling of the same host is no switch, an address below it is none of ours',
  async (scene) => {
    const client = await scene.loggedIn('romeo');
    assert.match(await client.binds('orchard'), /^romeo@capulet\.lit\/orchard$/);
    for (const [to, condition] of [
      ['CAPULET.lit.', undefined],
      [`romeo@${DOMAIN}`, 'host-unknown'],
      [`${DOMAIN}/x`, 'host-unknown'],
      ['', 'improper-addressing'],
      [undefined, 'improper-addressing'],
    ] as const) {
      const other = await scene.opened();
      await other.sends(auth('PLAIN', '\0romeo\0secret of romeo'));
      await other.receives(`<success xmlns='${SASL}'/>`);
      await other.opensStream({ to });
      if (condition !== undefined) {
        await other.isClosedWith(condition);
        continue;
      }
      await other.receivesStream();
      await other.receivesFeatures();
      assert.match(await other.binds(), /^romeo@capulet\.lit\//);
    }
  },
);

threat('Stream switches virtual host after auth: nor does it switch the user, by another `from`', async (scene) => {
  for (const from of [`juliet@${DOMAIN}`, `romeo@${OTHER_DOMAIN}`, DOMAIN]) {
    scene.cast.offline('romeo');
    await scene.cast.ready();
    const client = await scene.opened({ from: `romeo@${DOMAIN}` });
    await client.sends(auth('PLAIN', '\0romeo\0secret of romeo'));
    await client.receives(`<success xmlns='${SASL}'/>`);
    await client.opensStream({ from });
    await client.isClosedWith('invalid-from'); // RFC 6120 §4.9.3.9
  }
});

threat(
  'Stream switches virtual host after auth: an account of one host is none of the other, whose passwords are its own',
  async (scene) => {
    scene.cast.offline('romeo');
    await scene.cast.ready();
    const scram = derive({ password: opaqueString('of the other house')!, iterations: 1 });
    const created = scene.runtime.ask(makeJid('romeo', OTHER_DOMAIN)!.bare, { kind: 'create_account', scram });
    await scene.settle();
    assert.equal(await created, 'created');
    const client = await scene.opened({ to: OTHER_DOMAIN });
    assert.equal(await tries(client, 'PLAIN', '\0romeo\0secret of romeo'), 'not-authorized');
    assert.equal(await tries(client, 'PLAIN', `\0romeo@${DOMAIN}\0secret of romeo`), 'not-authorized');
    assert.equal(await tries(client, 'PLAIN', `romeo@${DOMAIN}\0romeo\0of the other house`), 'invalid-authzid');
    const other = await scene.opened({ to: OTHER_DOMAIN });
    assert.equal(await tries(other, 'PLAIN', '\0romeo\0of the other house'), 'success');
  },
);

// PLAIN authorizes A, session is B

const NAMES = [
  '',
  'romeo',
  'juliet',
  `romeo@${DOMAIN}`,
  `juliet@${DOMAIN}`,
  'ROMEO',
  '\uff32\uff4f\uff4d\uff45\uff4f',
  `romeo@${OTHER_DOMAIN}`,
  `romeo@${DOMAIN}/x`,
  DOMAIN,
  'nobody',
  ' romeo',
  'romeo\u0000juliet',
];
const PASSWORDS = ['', 'secret of romeo', 'secret of juliet', 'secret', 'secret of romeo ', 'secret of romeo\u0000x'];

/** Whom a name means, if it is one of the two. */
function meaning(name: string): string | undefined {
  if (['romeo', `romeo@${DOMAIN}`, 'ROMEO', '\uff32\uff4f\uff4d\uff45\uff4f'].includes(name)) return 'romeo';
  return ['juliet', `juliet@${DOMAIN}`].includes(name) ? 'juliet' : undefined;
}

/** Who is logged in by a message, by the words of RFC 4616 §2 and RFC 6120 §6.3.8 alone. */
function expectedUser(message: string): string | undefined {
  const parts = message.split('\0');
  if (parts.length !== 3) return undefined;
  const [authzid, authcid, password] = parts as [string, string, string];
  const user = meaning(authcid);
  if (user === undefined || password !== `secret of ${user}`) return undefined;
  return authzid === '' || meaning(authzid) === user ? user : undefined;
}

function plainMessage(random: Random): string {
  const values = [NAMES, NAMES, PASSWORDS] as const;
  const message = values.map((choices) => pick(random, choices)).join('\0');
  switch (Math.floor(random() * 6)) {
    case 0: // a NUL more or less, somewhere
      return message.replace('\0', pick(random, ['', '\0\0']));
    case 1:
      return pick(random, ['\0', '']) + message + pick(random, ['\0', '']);
    case 2:
      return [pick(random, NAMES), pick(random, PASSWORDS), pick(random, NAMES), pick(random, PASSWORDS)].join('\0');
    default:
      return message;
  }
}

threat(
  'PLAIN authorizes A, session is B: in every layout of NULs the session is of whose password was sent, or there is none',
  async (scene) => {
    scene.cast.offline('romeo');
    scene.cast.offline('juliet');
    await scene.cast.ready();
    const random = randomOf(SEED);
    const right = ['romeo', 'juliet'].flatMap((user) =>
      NAMES.flatMap((authzid) =>
        NAMES.filter((name) => meaning(name) === user).map((authcid) => `${authzid}\0${authcid}\0secret of ${user}`),
      ),
    );
    const surrounded = ['romeo', 'juliet'].flatMap((user) =>
      ['\0', '\0x', '\0\0'].flatMap((more) => [`\0${user}\0secret of ${user}${more}`, `${more}\0${user}\0secret of ${user}`]),
    );
    const messages = [...right, ...surrounded, ...Array.from({ length: 150 }, () => plainMessage(random))];
    let successes = 0;
    for (const message of messages) {
      const client = await scene.opened();
      const outcome = await tries(client, 'PLAIN', message);
      const expected = expectedUser(message);
      const label = `seed ${SEED}: ${JSON.stringify(message)}: ${outcome}`;
      assert.equal(outcome === 'success', expected !== undefined, label);
      if (outcome === 'success') {
        successes++;
        assert.equal(await whoIsIn(client), `${expected}@${DOMAIN}`, label);
      }
      await client.drops();
    }
    assert.ok(successes >= 20);
  },
);

threat('PLAIN authorizes A, session is B: nor by the authorization identity of SCRAM', async (scene) => {
  scene.cast.offline('romeo');
  scene.cast.offline('juliet');
  await scene.cast.ready();
  for (const mechanism of ['SCRAM-SHA-1', 'SCRAM-SHA-256', 'SCRAM-SHA-512']) {
    for (const [authzid, outcome] of [
      ['juliet', 'invalid-authzid'],
      [`juliet@${DOMAIN}`, 'invalid-authzid'],
      [`romeo@${OTHER_DOMAIN}`, 'invalid-authzid'],
      [`romeo@${DOMAIN}/x`, 'invalid-authzid'],
      [`ROMEO@${DOMAIN}`, 'success'],
    ] as const) {
      const client = await scene.opened();
      assert.equal(
        await triesScram(client, { mechanism, username: 'romeo', password: 'secret of romeo', authzid }),
        outcome,
        `${mechanism} ${authzid}`,
      );
      if (outcome === 'success') assert.equal(await whoIsIn(client), `romeo@${DOMAIN}`);
    }
  }
});

const NURSE_AND_JULIET = makeTlsFacts({ peerCertificate: new X509Certificate(TWO_ADDRESSES), isPeerTrusted: true });

threat(
  'PLAIN authorizes A, session is B: nor by that of EXTERNAL',
  { config: { domains: ['capulet.example'] }, connection: { tls: NURSE_AND_JULIET } },
  async (scene) => {
    for (const name of ['juliet', 'nurse', 'romeo']) scene.cast.offline(name);
    await scene.cast.ready();
    for (const [authzid, outcome] of [
      ['', 'invalid-authzid'], // of whom?
      ['romeo@capulet.example', 'invalid-authzid'],
      ['nurse@montague.lit', 'invalid-authzid'],
      ['nurse@capulet.example', 'success'],
    ] as const) {
      const client = await scene.opened();
      await client.sends(`<auth xmlns='${SASL}' mechanism='EXTERNAL'>${authzid === '' ? '=' : base64(authzid)}</auth>`);
      assert.equal(outcomeOf(await nextOf(client)), outcome, authzid);
      if (outcome === 'success') assert.equal(await whoIsIn(client), authzid);
    }
  },
);

threat(
  'PLAIN authorizes A, session is B: a certificate nobody vouches for is none',
  { config: { domains: ['capulet.example'] }, connection: { tls: { ...NURSE_AND_JULIET, isPeerTrusted: false } } },
  async (scene) => {
    scene.cast.offline('nurse');
    await scene.cast.ready();
    const client = await scene.opened();
    assert.equal(await tries(client, 'EXTERNAL', 'nurse@capulet.example'), 'invalid-mechanism');
  },
);

// Mechanism not offered yet accepted; profile mixing

/** Names no stream offers. */
const STRANGE = [
  '',
  'plain',
  'PLAIN ',
  'SCRAM-SHA-224',
  'DIGEST-MD5',
  'OAUTHBEARER',
  'HT-SHA-256-NONE',
  '__proto__',
  'constructor',
  'toString',
];
const SITUATIONS = [
  { name: 'without TLS', connection: {} },
  { name: 'under TLS', connection: { tls: makeTlsFacts() } },
  {
    name: 'under TLS without channel binding',
    connection: { tls: makeTlsFacts({ tlsExporter: () => undefined, tlsServerEndPoint: () => undefined }) },
  },
  { name: 'with a certificate', connection: { tls: NURSE_AND_JULIET } },
] as const;

for (const { name, connection } of SITUATIONS) {
  threat(
    `Mechanism not offered yet accepted: ${name}, none but those in the features`,
    { config: { domains: ['capulet.example'] }, connection },
    async (scene) => {
      scene.cast.offline('romeo');
      await scene.cast.ready();
      const client = await scene.cast.raw();
      await client.opensStream();
      await client.receivesStream();
      const mechanisms = childOf(await client.receivesFeatures(), 'mechanisms', SASL);
      const offered = mechanisms === undefined ? [] : childElements(mechanisms).map(textOf);
      assert.ok(offered.length > 0);
      for (const mechanism of [...MECHANISMS, ...STRANGE]) {
        if (offered.includes(mechanism)) continue;
        const fresh = await scene.opened();
        const lookUps = scene.count('account');
        assert.equal(await tries(fresh, mechanism, '\0romeo\0secret of romeo'), 'invalid-mechanism', mechanism);
        assert.equal(scene.count('account'), lookUps, 'nobody is asked for a password');
      }
    },
  );
}

threat(
  'Mechanism not offered yet accepted: none before the TLS that is required',
  { config: { c2s: { isTlsRequired: true } } },
  async (scene) => {
    scene.cast.offline('romeo');
    await scene.cast.ready();
    const client = await scene.cast.raw();
    await client.opensStream();
    await client.receivesStream();
    const features = await client.receivesFeatures();
    assert.deepEqual(
      childElements(features).map(({ name }) => name),
      ['starttls'],
    );
    for (const mechanism of MECHANISMS) {
      const fresh = await scene.opened();
      assert.equal(await tries(fresh, mechanism, '\0romeo\0secret of romeo'), 'encryption-required', mechanism);
    }
  },
);

threat('Mechanism not offered yet accepted: after success no second login, of either profile', async (scene) => {
  const logins = [
    auth('PLAIN', '\0juliet\0secret of juliet'),
    `<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>${base64('\0juliet\0secret of juliet')}</initial-response></authenticate>`,
  ];
  scene.cast.offline('juliet');
  for (const login of logins) {
    const unbound = await scene.loggedIn('romeo');
    await unbound.sends(login);
    await unbound.isClosedWith('policy-violation');
    const bound = await scene.loggedIn('romeo');
    await bound.binds();
    await bound.sends(login);
    await bound.isClosedWith('policy-violation');
  }
});

threat('Mechanism not offered yet accepted: profile mixing SASL1/SASL2 within one exchange, and answers to nothing', async (scene) => {
  scene.cast.offline('romeo');
  await scene.cast.ready();
  const first = new ScramClient({ mechanism: 'SCRAM-SHA-256', username: 'romeo', password: 'secret of romeo' }).first();
  for (const [element, condition] of [
    [`<response xmlns='urn:xmpp:sasl:2'/>`, 'not-authorized'],
    [`<iq type='get' id='a'><query xmlns='jabber:iq:auth'/></iq>`, 'not-authorized'],
    [`<starttls xmlns='${TLS}'/>`, 'not-authorized'],
  ] as const) {
    const client = await scene.opened();
    await client.sends(auth('SCRAM-SHA-256', first));
    await client.receives(`<challenge xmlns='${SASL}'>{any}</challenge>`);
    await client.sends(element);
    await client.isClosedWith(condition);
  }
  for (const [element, condition] of [
    [`<response xmlns='${SASL}'/>`, 'not-authorized'],
    [auth('PLAIN', '\0romeo\0secret of romeo'), 'not-authorized'],
    [`<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'/>`, 'policy-violation'],
    [`<iq type='get' id='a'><query xmlns='jabber:iq:auth'/></iq>`, 'not-authorized'],
  ] as const) {
    const client = await scene.opened();
    await client.sends(
      `<authenticate xmlns='urn:xmpp:sasl:2' mechanism='SCRAM-SHA-256'><initial-response>${base64(first)}</initial-response></authenticate>`,
    );
    await client.receives(`<challenge xmlns='urn:xmpp:sasl:2'>{any}</challenge>`);
    await client.sends(element);
    await client.isClosedWith(condition);
  }
  const turncoat = await scene.opened();
  await turncoat.sends(auth('PLAIN', '\0romeo\0wrong password'));
  await turncoat.receives(failure('not-authorized'));
  await turncoat.sends(`<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'/>`);
  await turncoat.isClosedWith('policy-violation');
  const second = await scene.opened();
  await second.sends(auth('SCRAM-SHA-256', first));
  await second.receives(`<challenge xmlns='${SASL}'>{any}</challenge>`);
  await second.sends(auth('PLAIN', '\0romeo\0secret of romeo')); // in place of a response
  await second.receives(failure('malformed-request'));
  const idle = await scene.opened();
  await idle.sends(`<response xmlns='${SASL}'>${base64('\0romeo\0secret of romeo')}</response>`);
  await idle.isClosedWith('unsupported-stanza-type');
});

// SCRAM timing / user enumeration

/** What an attempt has cost, apart from time. */
interface Work {
  readonly verified: readonly number[];
  readonly reads: readonly string[];
  readonly turns: number;
}

/** A pool and a store that count. */
class Meter {
  verified: number[] = [];
  reads: string[] = [];
  readonly pool: PasswordPool = {
    derive: FAST_POOL.derive,
    verify: async (password, record) => {
      this.verified.push(record.iterations);
      return verify({ password, record });
    },
  };
  readonly store: Store;

  constructor() {
    const store = openMemory();
    const { reads } = this;
    this.store = new Proxy<Store>(store, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        const method = value.bind(target) as (...args: unknown[]) => unknown;
        if (name !== 'get' && name !== 'list') return method;
        return (...args: unknown[]) => {
          reads.push(`${name} ${(args[0] as { readonly name: string }).name}`);
          return method(...args);
        };
      },
    });
  }

  async measure(scene: Scene, attempt: () => Promise<void>): Promise<Work> {
    this.verified = [];
    this.reads.length = 0;
    const before = scene.kernel.inspect().turns;
    await attempt();
    await scene.settle();
    return { verified: this.verified, reads: [...this.reads], turns: scene.kernel.inspect().turns - before };
  }
}

/** Three names that must look the same: nobody's, that of an account that is disabled, and one whose password is another. */
const SUSPECTS = [
  { username: 'nobodyx', password: 'secret' },
  { username: 'tybaltx', password: 'secret of tybaltx' },
  { username: 'romeoxx', password: 'secret' },
] as const;

/** Plays `attempt` with each of them on a server just started, so that none is in memory, and gives what was said and done. */
async function compare(
  options: { readonly registration?: 'open' | 'off' },
  attempt: (client: StreamClient, suspect: { readonly username: string; readonly password: string }) => Promise<void>,
): Promise<{ said: string[]; done: Work[] }> {
  const said: string[] = [];
  const done: Work[] = [];
  for (const suspect of SUSPECTS) {
    const meter = new Meter();
    const config = { accounts: { registration: options.registration ?? 'off' } } as const;
    const founding = new Scene({ pool: meter.pool, store: meter.store, config });
    founding.cast.offline('tybaltx');
    founding.cast.offline('romeoxx');
    await founding.cast.ready();
    assert.equal(await founding.ask('tybaltx', { kind: 'set_enabled', isEnabled: false }), 'changed');
    await founding.end();
    const scene = new Scene({ pool: meter.pool, store: meter.store, config });
    const client = await scene.opened();
    done.push(await meter.measure(scene, () => attempt(client, suspect)));
    said.push(scene.wires[0]!.text.replaceAll(suspect.username, 'USERNAME').replace(/ id='[^']*'/, ''));
    assert.deepEqual(scene.crashes, []);
    await scene.end();
  }
  return { said, done };
}

function assertAlike<T>(values: readonly T[], what: string): void {
  for (const value of values) assert.deepEqual(value, values[0], what);
}

threat('SCRAM timing / user enumeration: PLAIN says and does the same for unknown, disabled and wrong password', async () => {
  const { said, done } = await compare({}, async (client, { username, password }) => {
    assert.equal(await tries(client, 'PLAIN', `\0${username}\0${password}`), 'not-authorized');
  });
  assertAlike(said, 'said');
  assertAlike(done, 'done');
  assert.deepEqual(done[0]!.verified, [1], 'one password check, of the iterations that accounts have');
});

for (const mechanism of ['SCRAM-SHA-1', 'SCRAM-SHA-256', 'SCRAM-SHA-512']) {
  threat(`SCRAM timing / user enumeration: ${mechanism} takes the same steps for unknown, disabled and wrong password`, async () => {
    const { said, done } = await compare({}, async (client, { username, password }) => {
      assert.equal(await triesScram(client, { mechanism, username, password }), 'not-authorized');
    });
    // Nonces and salts are random, but of one length; all else is the same.
    const challenges = said.map((text) => Buffer.from(/<challenge [^>]*>([^<]*)/.exec(text)![1]!, 'base64').toString());
    assertAlike(
      challenges.map((text) => text.replace(/r=[^,]*/, 'r').replace(/s=[^,]*/, 's')),
      'challenge',
    );
    assertAlike(
      challenges.map((text) => /s=([^,]*)/.exec(text)![1]!.length),
      'length of the salt',
    );
    assertAlike(
      said.map((text) => text.replace(/<challenge [^>]*>[^<]*/, '<challenge>')),
      'said',
    );
    assertAlike(done, 'done');
  });
}

threat(
  'SCRAM timing / user enumeration: a name has one salt, today and after a restart, whether it has an account or not',
  async (scene) => {
    scene.cast.offline('romeo');
    await scene.cast.ready();
    const saltOf = async (from: Scene, username: string): Promise<string> => {
      const client = await from.opened();
      await client.sends(auth('SCRAM-SHA-256', new ScramClient({ mechanism: 'SCRAM-SHA-256', username, password: 'x' }).first()));
      const challenge = await client.receives(`<challenge xmlns='${SASL}'>{any}</challenge>`);
      return /s=([^,]*)/.exec(Buffer.from(textOf(challenge), 'base64').toString())![1]!;
    };
    const restarted = new Scene({ store: scene.store });
    for (const username of ['romeo', 'nobody']) {
      const salt = await saltOf(scene, username);
      assert.equal(await saltOf(scene, username), salt);
      assert.equal(await saltOf(scene, username.toUpperCase()), salt, 'one name in whatever case');
      assert.equal(await saltOf(restarted, username), salt);
    }
    assert.notEqual(await saltOf(scene, 'nobody'), await saltOf(scene, 'nobody2'));
    await restarted.end();
  },
);

threat('SCRAM timing / user enumeration: registration that is off knows no names', async () => {
  const { said, done } = await compare({}, async (client, { username }) => {
    await client.sends(
      `<iq type='set' id='r'><query xmlns='${REGISTER}'><username>${username}</username><password>a new password</password></query></iq>`,
    );
    await client.receives(`<iq type='error' id='r'>${errorXml('cancel', 'service-unavailable')}</iq>`);
  });
  assertAlike(said, 'said');
  assertAlike(done, 'done');
  assert.deepEqual(done[0]!.reads, [], 'nobody is looked up');
});

threat(
  'SCRAM timing / user enumeration: registration that is open cannot hide who is there, so it answers few questions',
  { config: { accounts: { registration: 'open', registrationRate: { count: 2, windowMs: 3_600_000 } } } },
  async (scene) => {
    scene.cast.offline('romeo');
    await scene.cast.ready();
    const asks = async (username: string): Promise<string> => {
      const client = await scene.opened();
      await client.sends(
        `<iq type='set' id='r'><query xmlns='${REGISTER}'><username>${username}</username><password>a new password</password></query></iq>`,
      );
      const answer = await nextOf(client);
      await client.drops();
      const error = childOf(answer, 'error');
      return error === undefined ? 'result' : childElements(error)[0]!.name;
    };
    let conflicts = 0;
    while ((await asks('romeo')) === 'conflict') assert.ok(++conflicts <= 20, 'ten questions for each account that may be registered');
    assert.equal(await asks('romeo'), 'resource-constraint');
    assert.equal(await asks('nobody'), 'resource-constraint', 'the same for a name that is free');
  },
);

const QUESTIONS = [
  ['get', `<query xmlns='jabber:iq:last'/>`],
  ['get', `<query xmlns='http://jabber.org/protocol/disco#info'/>`],
  ['get', `<query xmlns='http://jabber.org/protocol/disco#info' node='x'/>`],
  ['get', `<query xmlns='http://jabber.org/protocol/disco#items'/>`],
  ['get', `<query xmlns='jabber:iq:version'/>`],
  ['get', `<time xmlns='urn:xmpp:time'/>`],
  ['get', `<ping xmlns='urn:xmpp:ping'/>`],
  ['get', `<query xmlns='jabber:iq:roster'/>`],
  ['set', `<query xmlns='jabber:iq:roster'><item jid='mercutio@capulet.lit'/></query>`],
  ['get', `<query xmlns='${REGISTER}'/>`],
  ['set', `<query xmlns='${REGISTER}'><remove/></query>`],
  ['get', `<vCard xmlns='vcard-temp'/>`],
  ['get', `<query xmlns='jabber:iq:private'><x xmlns='urn:x'/></query>`],
  ['get', `<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:avatar:metadata'/></pubsub>`],
  ['get', `<blocklist xmlns='urn:xmpp:blocking'/>`],
  ['set', `<query xmlns='urn:xmpp:mam:2'/>`],
  ['set', `<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/>`],
  ['set', `<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>`],
  ['get', `<unknown xmlns='urn:unknown'/>`],
] as const;
const PRESENCES = ['', 'unavailable', 'subscribe', 'subscribed', 'unsubscribe', 'unsubscribed', 'probe', 'error'] as const;

threat('SCRAM timing / user enumeration: a stranger learns from no query and no presence who has an account', async (scene) => {
  const { mercutio, juliet } = scene.cast;
  scene.cast.offline('romeo');
  scene.cast.offline('tybalt');
  await juliet.becomesAvailable();
  await mercutio.becomesAvailable();
  await scene.ask('tybalt', { kind: 'set_enabled', isEnabled: false });
  const wire = scene.wireOf(mercutio.full);
  // Nobody, somebody who is offline, online, disabled; by bare address and by that of a resource that is not there.
  const names = ['nobody', 'romeo', 'juliet', 'tybalt'];
  for (const resource of ['', '/nowhere']) {
    const stanzas = [
      ...QUESTIONS.map(([type, payload]) => `<iq type='${type}' id='q' to='TARGET'>${payload}</iq>`),
      ...PRESENCES.map((type) => `<presence id='q' to='TARGET'${type === '' ? '' : ` type='${type}'`}/>`),
    ];
    for (const stanza of stanzas) {
      const answers: string[] = [];
      for (const name of names) {
        const from = wire.text.length;
        await mercutio.sends(stanza.replace('TARGET', `${name}@${DOMAIN}${resource}`));
        await mercutio.sync();
        answers.push(
          wire.text
            .slice(from)
            .replace(/<iq [^>]*id='barrier[^>]*>/, '')
            .replaceAll(name, 'NAME')
            .replace(/ver='[^']*'/g, 'ver'),
        );
        // Only what the own roster has done is taken back, so that each name starts alike.
        await mercutio.collects();
      }
      assertAlike(answers, `${stanza} to ${resource === '' ? 'the account' : 'a resource that is not there'}`);
    }
  }
});

threat('SCRAM timing / user enumeration: last activity of a resource that is there is not told to strangers either', async (scene) => {
  const { mercutio, juliet } = scene.cast;
  await juliet.becomesAvailable();
  for (const to of [juliet.full, `${juliet.bare}/nowhere`, `nobody@${DOMAIN}/nowhere`]) {
    await mercutio.sends(`<iq type='get' id='l' to='${to}'><query xmlns='jabber:iq:last'/></iq>`);
    await mercutio.receives(`<iq type='error' id='l' from='${to}'>${errorXml('auth', 'forbidden')}</iq>`);
  }
  await juliet.receivesNothing();
});

threat(
  'SCRAM timing / user enumeration: three wrong passwords end the connection, and so do sixteen attempts that are none',
  async (scene) => {
    scene.cast.offline('romeo');
    await scene.cast.ready();
    const guesser = await scene.opened();
    for (let i = 0; i < scene.config.c2s.maxLoginAttempts; i++)
      assert.equal(await tries(guesser, 'PLAIN', `\0romeo\0guess ${i}`), 'not-authorized');
    await guesser.isClosedWith('policy-violation');
    const other = await scene.opened();
    for (let i = 0; i < 16; i++) assert.equal(await tries(other, 'NOTHING', 'x'), 'invalid-mechanism');
    await other.isClosedWith('policy-violation');
  },
);

// Channel-binding downgrade / mechanism stripping

const END_POINT = Buffer.alloc(32, 0x5e);

/** As TLS has it: an exporter value of its own for each connection, one certificate for all. */
async function secureStream(scene: Scene): Promise<{ client: StreamClient; mechanisms: string[]; types: string[]; exporter: Buffer }> {
  const exporter = Buffer.alloc(32, scene.wires.length + 1);
  scene.connection = { tls: makeTlsFacts({ tlsExporter: () => exporter }) };
  const client = await scene.cast.raw();
  await client.opensStream();
  await client.receivesStream();
  const features = await client.receivesFeatures();
  const mechanisms = childElements(childOf(features, 'mechanisms', SASL)!).map(textOf);
  const types = childElements(childOf(features, 'sasl-channel-binding', 'urn:xmpp:sasl-cb:0')!).map(({ attrs }) => attrs['type']!);
  return { client, mechanisms, types, exporter };
}

threat(
  'Channel-binding downgrade / mechanism stripping: both bindings are advertised, and a client that saw none is refused',
  async (scene) => {
    scene.cast.offline('romeo');
    await scene.cast.ready();
    for (const hash of ['SHA-1', 'SHA-256', 'SHA-512']) {
      const { client, mechanisms, types } = await secureStream(scene);
      assert.deepEqual(types, ['tls-exporter', 'tls-server-end-point']);
      assert.ok(mechanisms.includes(`SCRAM-${hash}-PLUS`) && mechanisms.includes(`SCRAM-${hash}`));
      const login = { mechanism: `SCRAM-${hash}`, username: 'romeo', password: 'secret of romeo' };
      assert.equal(await triesScram(client, { ...login, flag: 'y' }), 'not-authorized', 'RFC 5802 §6');
      assert.equal(await triesScram(client, { ...login, flag: 'n' }), 'success');
    }
  },
);

threat('Channel-binding downgrade / mechanism stripping: a login relayed over another connection is refused', async (scene) => {
  scene.cast.offline('romeo');
  await scene.cast.ready();
  const login = { mechanism: 'SCRAM-SHA-256-PLUS', username: 'romeo', password: 'secret of romeo' };
  const victim = await secureStream(scene);
  const relay = await secureStream(scene);
  assert.notDeepEqual(victim.exporter, relay.exporter);
  assert.equal(
    await triesScram(relay.client, { ...login, channelBinding: { type: 'tls-exporter', data: victim.exporter } }),
    'not-authorized',
  );
  assert.equal(
    await triesScram(relay.client, { ...login, channelBinding: { type: 'tls-server-end-point', data: Buffer.alloc(32, 1) } }),
    'not-authorized',
    'another certificate',
  );
  assert.equal(
    await triesScram(relay.client, { ...login, channelBinding: { type: 'tls-unique', data: victim.exporter } }),
    'not-authorized',
    'a type not offered',
  );
  assert.equal(await triesScram(victim.client, { ...login, channelBinding: { type: 'tls-exporter', data: victim.exporter } }), 'success');
  const third = await secureStream(scene);
  assert.equal(await triesScram(third.client, { ...login, channelBinding: { type: 'tls-server-end-point', data: END_POINT } }), 'success');
});

threat('Channel-binding downgrade / mechanism stripping: the challenge carries what was advertised (XEP-0474)', async (scene) => {
  scene.cast.offline('romeo');
  await scene.cast.ready();
  const { client, mechanisms, types } = await secureStream(scene);
  const scram = new ScramClient({ mechanism: 'SCRAM-SHA-256', username: 'romeo', password: 'secret of romeo' });
  await client.sends(auth('SCRAM-SHA-256', scram.first()));
  const challenge = await client.receives(`<challenge xmlns='${SASL}'>{any}</challenge>`);
  scram.final(Buffer.from(textOf(challenge), 'base64'));
  assert.ok(scram.isOfferUntouched(mechanisms, types));
  assert.ok(
    !scram.isOfferUntouched(
      mechanisms.filter((name) => !name.endsWith('-PLUS')),
      [],
    ),
    'a client shown less notices',
  );
});

threat('Channel-binding downgrade / mechanism stripping: without TLS nothing is bound, and "y" is the truth', async (scene) => {
  scene.cast.offline('romeo');
  await scene.cast.ready();
  const client = await scene.opened();
  const login = { mechanism: 'SCRAM-SHA-256-PLUS', username: 'romeo', password: 'secret of romeo' };
  assert.equal(
    await triesScram(client, { ...login, channelBinding: { type: 'tls-server-end-point', data: END_POINT } }),
    'invalid-mechanism',
  );
  assert.equal(await triesScram(client, { ...login, mechanism: 'SCRAM-SHA-256', flag: 'y' }), 'success');
});
