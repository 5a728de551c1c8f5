/**
 * The row "Runtime: prototype pollution, ReDoS, event-loop stall" of the table of threats, and what belongs to it: a
 * stanza that makes code of ours throw costs its sender that stanza and nobody anything else; names that JavaScript
 * knows are names; nothing that takes long runs where stanzas do; what peers must not guess is random.
 */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { defineModule, EMPTY_RESULT, type IqAnswer, type IqHandler, type ModuleSpec } from '../../src/core/module.ts';
import type { StanzaHandler, StanzaHook } from '../../src/core/hooks.ts';
import { openMemory } from '../../src/store/memory.ts';
import { settledCommit } from '../../src/store/commit.ts';
import type { Store } from '../../src/store/store.ts';
import { StoreError } from '../../src/store/errors.ts';
import type { Stanza } from '../../src/xmpp/stanza.ts';
import { childElements, childOf, textOf } from '../harness/xml.ts';
import { base64, describeCrash, DOMAIN, errorXml, SASL, threat, type Scene } from './scene.ts';

const POISON = 'urn:poison';
const dose = `<dose xmlns='${POISON}'/>`;
const INTERNAL = errorXml('cancel', 'internal-server-error');

/** What throws at a dose of poison. */
const swallow = (stanza: Stanza): void => {
  if (stanza.has('dose', POISON)) throw new Error('poisoned');
};

function poisonIn(phase: StanzaHandler['phase'], ...hooks: readonly StanzaHook[]): ModuleSpec {
  const handlers: Record<StanzaHandler['phase'], StanzaHandler> = {
    filter: { phase: 'filter', run: (stanza) => (swallow(stanza), stanza) },
    enrich: { phase: 'enrich', run: (stanza) => (swallow(stanza), stanza) },
    observe: { phase: 'observe', run: swallow },
    deliver: { phase: 'deliver', run: (stanza) => (swallow(stanza), false) },
  };
  return defineModule({ name: 'poison', implements: [], hooks: Object.fromEntries(hooks.map((hook) => [hook, handlers[phase]])) });
}

const ALL_HOOKS = [
  'user_send_message',
  'user_send_presence',
  'user_send_iq',
  'user_receive_message',
  'user_receive_presence',
  'user_receive_iq',
] as const;

for (const phase of ['filter', 'enrich', 'deliver'] as const) {
  for (const hooks of [ALL_HOOKS.slice(0, 3), ALL_HOOKS.slice(3)]) {
    const where = hooks[0]!.startsWith('user_send') ? 'sender' : 'recipient';
    threat(
      `Runtime: poison stanza: a ${phase} hook of the ${where} that throws costs one stanza, its sender is told, all go on`,
      { modules: [poisonIn(phase, ...hooks)], mayCrash: true },
      async (scene) => {
        const { romeo, phone, juliet } = scene.cast;
        for (const client of [romeo, phone, juliet]) await client.becomesAvailable();
        for (const [i, stanza] of [
          `<message type='chat' id='0' to='${juliet.bare}'>${dose}</message>`,
          `<iq type='set' id='1' to='${juliet.full}'>${dose}</iq>`,
          `<presence id='2' to='${juliet.bare}'>${dose}</presence>`,
        ].entries()) {
          await romeo.sends(`<message id='before' to='${juliet.bare}'><body>before</body></message>`);
          await romeo.sends(stanza);
          await romeo.sends(`<message id='after' to='${juliet.bare}'><body>after</body></message>`);
          await romeo.receives(
            `<${stanza.slice(1, stanza.indexOf(' '))} type='error' id='${i}'>${INTERNAL}</${stanza.slice(1, stanza.indexOf(' '))}>`,
          );
          await juliet.receives(`<message from='${romeo.full}'><body>before</body></message>`);
          await juliet.receives(`<message from='${romeo.full}'><body>after</body></message>`);
        }
        for (const client of [romeo, phone, juliet]) await client.receivesNothing();
        assert.equal(scene.runtime.counters.closed.size, 0, 'nobody was disconnected');
        assert.ok(
          scene.crashes.every(({ machine }) => machine === 'account'),
          scene.crashes.map(describeCrash).join('\n'),
        );
        assert.equal(scene.crashes.length, phase === 'filter' ? 0 : 3, 'a filter that fails refuses, others restart the account');
      },
    );
  }
}

threat(
  'Runtime: poison stanza: an observer that throws observes nothing, and the stanza passes',
  { modules: [poisonIn('observe', ...ALL_HOOKS)] },
  async (scene) => {
    const { romeo, juliet } = scene.cast;
    await juliet.becomesAvailable();
    await romeo.sends(`<message id='m' to='${juliet.bare}'>${dose}</message>`);
    await juliet.receives(`<message from='${romeo.full}'>${dose}</message>`);
    assert.equal(scene.logged.filter(({ what }) => what === 'hook_failed').length, 2);
  },
);

const throwing = (): IqAnswer => {
  throw new Error('poisoned');
};
const RUNS: Readonly<Record<string, () => IqAnswer | Promise<IqAnswer>>> = {
  throws: throwing,
  rejects: async () => throwing(),
  fine: () => EMPTY_RESULT,
};
const PLACES = ['account', 'own_server', 'server'] as const;

const HANDLERS = defineModule({
  name: 'handlers',
  implements: [],
  iq: PLACES.flatMap((to) => Object.entries(RUNS).map(([name, run]): IqHandler => ({ to, type: 'get', payload: [name, POISON], run }))),
});

threat(
  'Runtime: poison stanza: a handler of IQs that throws or rejects answers with an error, wherever it is asked',
  { modules: [HANDLERS], mayCrash: true },
  async (scene) => {
    const { romeo } = scene.cast;
    for (const to of ['', ` to='${romeo.bare}'`, ` to='${DOMAIN}'`]) {
      for (const payload of ['throws', 'rejects']) {
        await romeo.sends(
          `<iq type='get' id='bad'${to}><${payload} xmlns='${POISON}'/></iq><iq type='get' id='good'${to}><fine xmlns='${POISON}'/></iq>`,
        );
        await romeo.receivesInAnyOrder(`<iq type='error' id='bad'>${INTERNAL}</iq>`, `<iq type='result' id='good'/>`);
      }
    }
    await romeo.sends(`<iq type='get' id='bad' to='${DOMAIN.replace('capulet', 'montague')}'><throws xmlns='${POISON}'/></iq>`);
    await romeo.receives(`<iq type='error' id='bad'>${INTERNAL}</iq>`);
    assert.equal(scene.runtime.counters.closed.size, 0);
  },
);

threat(
  'Runtime: poison stanza: more of it than an account may crash disturbs neither its sessions nor those of others',
  { modules: [poisonIn('enrich', 'user_receive_message')], mayCrash: true },
  async (scene) => {
    const { romeo, juliet, chamber } = scene.cast;
    for (const client of [juliet, chamber]) await client.becomesAvailable();
    const doses = 35;
    for (let i = 0; i < doses; i++) {
      await romeo.sends(`<message type='chat' id='p${i}' to='${juliet.bare}'>${dose}</message>`);
      await scene.advance(300); // longer than a lost account is not looked for
    }
    const errors = (await romeo.collects()).filter(({ attrs }) => attrs['type'] === 'error');
    const ends = scene.crashes.filter(({ willRestart }) => !willRestart).length;
    assert.ok(ends > 0, 'the intensity was exceeded');
    assert.equal(errors.length, doses, 'each of them is answered: what nobody was there for comes again');
    await romeo.sends(`<message type='chat' id='m' to='${juliet.bare}'><body>still there?</body></message>`);
    for (const client of [juliet, chamber]) {
      await client.takes('a message', (element) => textOf(childOf(element, 'body') ?? element) === 'still there?');
      await client.sync();
    }
    assert.equal(scene.runtime.counters.closed.size, 0);
  },
);

threat(
  'Runtime: poison stanza: whichever of many it is, the socket is read on',
  { modules: [poisonIn('enrich', 'user_send_message')], mayCrash: true },
  async (scene) => {
    const { romeo } = scene.cast;
    // Credit goes back every 32 stanzas: a crash must not take it along. Each round moves the dose on by one.
    for (let round = 0; round < 34; round++) {
      const others = `<message to='nobody@elsewhere.example' type='error'/>`.repeat(31);
      await romeo.sends(`${others}<message id='p${round}' to='${romeo.bare}'>${dose}</message>`);
      await romeo.receives(`<message type='error' id='p${round}'>${INTERNAL}</message>`);
      await scene.advance(6_001); // ten crashes in a minute are an account's share
    }
    await romeo.receivesNothing();
  },
);

/** A store one of whose commits fails, as on a full disk: after as many as are `before` it. */
function failingStore(): { store: Store; failure: { before: number } } {
  const failure = { before: Infinity };
  const inner = openMemory();
  const error = new StoreError('ERR_STORE_WRITE' as ConstructorParameters<typeof StoreError>[0], 'the disk is full');
  const failed = settledCommit(error);
  const store = new Proxy<Store>(inner, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (name === 'commit') return (...args: Parameters<Store['commit']>) => (failure.before-- === 0 ? failed : target.commit(...args));
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
  return { store, failure };
}

const disk = failingStore();
threat(
  'Runtime: poison stanza: a change that cannot be written is not made, and the socket is read on',
  { store: disk.store, mayCrash: true },
  async (scene) => {
    const { romeo } = scene.cast;
    await romeo.sync();
    for (let round = 0; round < 6; round++) {
      disk.failure.before = 31; // with the credit for 32 stanzas
      const set = (i: number) =>
        `<iq type='set' id='s${i}'><query xmlns='jabber:iq:roster'><item jid='contact${i}@elsewhere.example'/></query></iq>`;
      await romeo.sends(Array.from({ length: 32 }, (_, i) => set(i)).join(''));
      await romeo.collects();
      await scene.advance(61_000);
    }
    await romeo.sends(`<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>`);
    const roster = childOf(await romeo.takes('the roster', ({ attrs }) => attrs['id'] === 'r'), 'query')!;
    assert.deepEqual(
      childElements(roster)
        .map(({ attrs }) => attrs['jid'])
        .toSorted(),
      Array.from({ length: 31 }, (_, i) => `contact${i}@elsewhere.example`).toSorted(),
    );
    assert.equal(scene.crashes.length, 6);
    assert.equal(scene.runtime.counters.closed.size, 0);
  },
);

/** The actor of a client's connection. */
function connectionOf(scene: Scene, full: string): Parameters<Scene['kernel']['crash']>[0] {
  const report = scene.kernel.list({ kind: 'c2s' }).find(({ description }) => description === full);
  assert.ok(report !== undefined, `${full} has no connection`);
  return report.ref;
}

threat(
  'Runtime: poison stanza: a connection that crashes goes on, on the same socket and stream; the fourth time within ten seconds it ends',
  { mayCrash: true },
  async (scene) => {
    const { romeo, phone, juliet } = scene.cast;
    for (const client of [romeo, phone, juliet]) await client.becomesAvailable();
    for (let crash = 1; crash <= 3; crash++) {
      scene.kernel.crash(connectionOf(scene, phone.full), new Error('poisoned'), 'next_message');
      await phone.sends(
        `<iq type='get' id='c${crash}' to='${DOMAIN}'><ping xmlns='urn:xmpp:ping'/></iq><message id='n${crash}' to='${juliet.bare}'><body>${crash}</body></message>`,
      );
      await phone.receives(`<iq type='error' id='c${crash}'>${INTERNAL}</iq>`);
      await juliet.receives(`<message from='${phone.full}'><body>${crash}</body></message>`);
    }
    await romeo.receivesNothing();
    await phone.receivesNothing();
    scene.kernel.crash(connectionOf(scene, phone.full), new Error('poisoned'), 'next_message');
    await phone.sends(`<message id='last' to='${juliet.bare}'><body>4</body></message>`);
    await phone.isClosedWith('internal-server-error');
    assert.equal(scene.runtime.counters.closed.get('crashed_too_often'), 1);
    // The account's other session hears of it, and of nothing else.
    await romeo.receives(`<presence type='unavailable' from='${phone.full}'/>`);
    await romeo.receivesNothing();
    await juliet.receivesNothing();
    await phone.connects();
    await phone.receivesNothing();
  },
);

threat('Runtime: poison stanza: three crashes in ten seconds, again and again, close nothing', { mayCrash: true }, async (scene) => {
  const { romeo } = scene.cast;
  await romeo.sync();
  for (let round = 0; round < 4; round++) {
    for (let crash = 0; crash < 3; crash++) {
      scene.kernel.crash(connectionOf(scene, romeo.full), new Error('poisoned'), 'next_message');
      await romeo.sends(`<iq type='get' id='c' to='${DOMAIN}'><ping xmlns='urn:xmpp:ping'/></iq>`);
      await romeo.receives(`<iq type='error' id='c'>${INTERNAL}</iq>`);
    }
    await scene.advance(10_001);
  }
  await romeo.receivesNothing();
});

threat('Runtime: poison stanza: before login a crash ends that stream and no other', { mayCrash: true }, async (scene) => {
  const { romeo } = scene.cast;
  await romeo.sync();
  const client = await scene.opened();
  const [report] = scene.kernel.list({ kind: 'c2s' }).filter(({ state }) => state === 'wait_for_feature_request');
  scene.kernel.crash(report!.ref, new Error('poisoned'), 'next_message');
  await client.sends(`<auth xmlns='${SASL}' mechanism='PLAIN'>${base64('\0romeo\0secret of romeo')}</auth>`);
  await client.isClosedWith('internal-server-error');
  await romeo.receivesNothing();
  await scene.advance(60_000);
  assert.equal(scene.count('c2s'), 1);
});

// Names that JavaScript knows

const NAMES = [
  '__proto__',
  'constructor',
  'prototype',
  'hasownproperty',
  'tostring',
  'valueof',
  '__definegetter__',
  'then',
  'length',
  'undefined',
  'null',
];

/** All that a polluted prototype would show. */
function prototypes(): string[] {
  return [Object, Array, Function, String, Map, Set, Promise].flatMap(({ name, prototype }) =>
    Reflect.ownKeys(prototype as object).map((key) => `${name}.${String(key)}`),
  );
}

threat('Runtime: prototype pollution: accounts, resources and ids may be called anything', async (scene) => {
  const before = prototypes();
  for (const name of NAMES)
    assert.deepEqual(
      await scene.ask(name, { kind: 'get_status' }),
      { exists: false, isEnabled: false, ban: undefined, createdAtMs: 0, sessions: [] },
      'nobody is born with an account',
    );
  for (const name of NAMES) {
    const client = scene.cast.client(name, { account: name, resource: name });
    await client.becomesAvailable();
    await client.sends(
      `<message id='${name}' type='chat' xml:lang='${name}' to='${name}@${DOMAIN}/${name}'><body>${name}</body><thread>${name}</thread></message>`,
    );
    await client.receives(
      `<message id='${name}' type='chat' from='${name}@${DOMAIN}/${name}'><body>${name}</body><thread>${name}</thread></message>`,
    );
    await client.sends(`<iq type='${name}' id='t'><query xmlns='jabber:iq:roster'/></iq>`);
    await client.receives(`<iq type='error' id='t'>${errorXml('modify', 'bad-request')}</iq>`);
  }
  const stranger = await scene.opened();
  await stranger.sends(`<auth xmlns='${SASL}' mechanism='PLAIN'>${base64('\0__proto__\0secret of constructor')}</auth>`);
  await stranger.receives(`<failure xmlns='${SASL}'><not-authorized/></failure>`);
  assert.deepEqual(prototypes(), before);
});

threat(
  'Runtime: prototype pollution: so may elements, attributes, namespaces, groups and nodes',
  { config: { accounts: { registration: 'open' } } },
  async (scene) => {
    const before = prototypes();
    const { romeo, juliet } = scene.cast;
    await juliet.becomesAvailable();
    for (const name of NAMES) {
      const content = `<${name} xmlns='${name}' ${name}='${name}' polluted='yes'><__proto__ polluted='yes'><polluted>yes</polluted></__proto__></${name}>`;
      await romeo.sends(`<message to='${juliet.bare}' id='m' __proto__='x' constructor='y'>${content}</message>`);
      await juliet.receives(`<message from='${romeo.full}'>${content}</message>`);
      for (const [type, to] of [
        ['get', DOMAIN],
        ['set', DOMAIN],
        ['get', romeo.bare],
        ['set', romeo.bare],
        ['get', juliet.bare],
      ] as const) {
        await romeo.sends(`<iq type='${type}' id='q' to='${to}'>${content}</iq>`);
        await romeo.receives(`<iq type='error' id='q' from='${to}'>${errorXml('cancel', 'service-unavailable')}</iq>`);
      }
      await romeo.sends(`<iq type='get' id='d' to='${DOMAIN}'><query xmlns='http://jabber.org/protocol/disco#info' node='${name}'/></iq>`);
      await romeo.receives(`<iq type='error' id='d' from='${DOMAIN}'>${errorXml('cancel', 'item-not-found')}</iq>`);
      await romeo.sends(
        `<iq type='set' id='r'><query xmlns='jabber:iq:roster'><item jid='${name}@contact.example' name='${name}' ${name}='x'><group>${name}</group><group>polluted</group></item></query></iq>`,
      );
      await romeo.receives(`<iq type='result' id='r'/>`);
      const client = await scene.opened();
      await client.sends(`
      <iq type='set' id='f'><query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'>
        <field var='FORM_TYPE'><value>jabber:iq:register</value></field>
        <field var='${name}'><value>polluted</value></field>
      </x></query></iq>`);
      await client.receives(`<iq type='error' id='f'>${errorXml('modify', 'not-acceptable')}</iq>`);
      await client.drops();
    }
    await romeo.sends(`<iq type='get' id='all'><query xmlns='jabber:iq:roster'/></iq>`);
    const items = NAMES.map(
      (name) =>
        `<item jid='${name}@contact.example' name='${name}' subscription='none'><group>${name}</group><group>polluted</group></item>`,
    );
    await romeo.receives(`<iq type='result' id='all'><query xmlns='jabber:iq:roster' ver='{any}'>${items.join('')}</query></iq>`);
    assert.deepEqual(prototypes(), before);
    assert.equal(({} as Record<string, unknown>)['polluted'], undefined);
  },
);

// What the sources may not contain

const SRC = resolve(import.meta.dirname, '../../src');
const SOURCES = globSync('**/*.ts', { cwd: SRC }).map((file) => ({
  file: file.replaceAll('\\', '/'),
  text: readFileSync(join(SRC, file), 'utf8'),
}));
/** Layers where what peers send passes. */
const PEER_FACING = ['c2s', 'core', 'kernel', 'modules', 'net', 'sasl', 'store', 'stream', 'xml', 'xmpp'];
const isPeerFacing = ({ file }: { readonly file: string }): boolean => PEER_FACING.includes(file.split('/')[0]!);

test('Runtime: prototype pollution: nothing that peers name is a key of an object with a prototype', () => {
  // Written where keys come from outside: maps, null-prototype objects, or objects whose keys a table of ours fixes.
  const suspicious = SOURCES.filter(isPeerFacing).flatMap(({ file, text }) =>
    [...text.matchAll(/(?:Record<string, [^>]+>|\{ \[[a-z]+: string\][^}]*\}) = \{\}/g)].map(() => file),
  );
  assert.deepEqual(suspicious, ['xmpp/form-schema.ts']); // keys are those of a schema of ours
});

/** Regular expressions as the sources have them: literals, and what is given to `new RegExp`. */
function expressionsOf(text: string): string[] {
  const code = text.replace(/\/\*[^]*?\*\/|^\s*\/\/.*$|\s\/\/ .*$/gm, '');
  const literals = code.matchAll(
    /(?<=[(=,:!&|?{};[]\s*|return\s|=>\s*)\/((?:[^/\\\n[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+)\/[dgimsuvy]*(?=[\s.,;)\]}])/g,
  );
  return [...literals].map(([, source]) => source!);
}

/** Whether a quantified group holds a quantifier: the shape of expressions that take exponential time. */
function hasNestedQuantifier(source: string): boolean {
  const bare = source.replace(/\\./g, 'x').replace(/\[[^\]]*\]/g, 'x');
  const open: { quantified: boolean }[] = [{ quantified: false }];
  for (let i = 0; i < bare.length; i++) {
    const char = bare[i]!;
    if (char === '(') {
      open.push({ quantified: false });
    } else if (char === ')') {
      const group = open.pop()!;
      const repeats = /^(?:[+*]|\{\d+,\})/.test(bare.slice(i + 1));
      if (repeats && group.quantified) return true;
      open.at(-1)!.quantified ||= group.quantified || repeats;
    } else if (char === '+' || char === '*' || /^\{\d+,\}/.test(bare.slice(i))) {
      open.at(-1)!.quantified = true;
    }
  }
  return false;
}

/** Whether a run is looked for from every place it could begin at, and must end in a certain one: quadratic. */
function hasLooseRunAtEnd(source: string): boolean {
  return !source.startsWith('^') && /(?:[+*]|\{\d+,\d*\})\)?\$$/.test(source) && !source.startsWith('(?:^|');
}

test('Runtime: ReDoS: the check finds what it is for', () => {
  for (const bad of ['(a+)+$', '^(?:[a-z]*\\d)*x', '(?:x{2,})+', '((a|b)+c)*']) assert.ok(hasNestedQuantifier(bad), bad);
  for (const good of ['^[a-z]+$', '(?:\\.[0-9]*)?', '^(?:ab)+$', '[+*]+', '\\(\\+\\)+']) assert.ok(!hasNestedQuantifier(good), good);
  assert.ok(hasLooseRunAtEnd('\\s+$') && !hasLooseRunAtEnd('^\\s+$'));
  assert.ok(expressionsOf('if (/^a+$/.test(x)) y = z.replace(/[/]+/g, "");').length === 2);
});

test('Runtime: ReDoS: regular expressions that meet what peers send are linear', () => {
  const found = SOURCES.filter(isPeerFacing).flatMap(({ file, text }) => expressionsOf(text).map((source) => ({ file, source })));
  assert.ok(found.length > 20, `only ${found.length} expressions were found`);
  assert.deepEqual(
    found.filter(({ source }) => hasNestedQuantifier(source) || hasLooseRunAtEnd(source) || /\\[1-9]|\\k</.test(source)),
    [],
  );
  // Made of strings: only of ours.
  assert.deepEqual(
    SOURCES.filter(isPeerFacing)
      .filter(({ text }) => text.includes('new RegExp('))
      .map(({ file }) => file),
    ['xmpp/confusable.ts'],
  );
});

test('Runtime: event-loop stall: what takes long runs in the pool: no key is derived and no file read where stanzas are handled', () => {
  const slow =
    /\b(?:pbkdf2|scrypt|generateKeyPair|generatePrime|hkdf|readFile|writeFile|execFile|spawn|gzip|gunzip|inflate|deflate|brotli\w*)Sync\(|Atomics\.wait\(/;
  const handling = ['c2s', 'core', 'kernel', 'modules', 'stream', 'xml', 'xmpp'];
  assert.deepEqual(
    SOURCES.filter(({ file, text }) => handling.includes(file.split('/')[0]!) && slow.test(text)).map(({ file }) => file),
    [],
  );
  const users = SOURCES.filter(({ file, text }) => !file.startsWith('sasl/') && /\b(?:deriveScramCredentials|verifyPassword)\b/.test(text));
  assert.deepEqual(
    users.map(({ file }) => file),
    ['pool.ts'],
    'passwords are hashed by jobs of the pool alone',
  );
});

test('FAST/SM/invite tokens guessable: what peers must not guess comes from the system', () => {
  assert.deepEqual(
    SOURCES.filter(({ text }) => /Math\.random|Date\.now\(\)\.toString\(|process\.hrtime/.test(text)).map(({ file }) => file),
    [],
  );
});

threat(
  'FAST/SM/invite tokens guessable: stream ids, resources and nonces have 128 random bits at least, and never repeat',
  async (scene) => {
    scene.cast.offline('romeo');
    await scene.cast.ready();
    const seen = new Set<string>();
    const rounds = 50;
    for (let i = 0; i < rounds; i++) {
      const client = await scene.loggedIn('romeo');
      const resource = (await client.binds()).split('/')[1]!;
      const tokens = [client.header['id']!, resource];
      for (const token of tokens) {
        assert.match(token, /^[-\w]{22,}$/, 'six bits each');
        seen.add(token);
      }
      const sasl = await scene.opened();
      await sasl.sends(`<auth xmlns='${SASL}' mechanism='SCRAM-SHA-256'>${base64('n,,n=romeo,r=x')}</auth>`);
      const challenge = Buffer.from(textOf(await sasl.receives(`<challenge xmlns='${SASL}'>{any}</challenge>`)), 'base64').toString();
      const nonce = /^r=x([^,]*)/.exec(challenge)![1]!;
      assert.ok(nonce.length >= 22);
      seen.add(nonce);
      await client.drops();
      await sasl.drops();
    }
    assert.equal(seen.size, rounds * 3);
  },
);
