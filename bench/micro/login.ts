/**
 * What a login costs the server's CPU, by how the client does it: everything of one worker over memory pairs, with a store in
 * memory. What the client computes is kept little: it derives its keys once.
 * Run: node bench/micro/login.ts [--json]. us per login, best of seven rounds.
 */
import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import { loadConfig } from '../../src/config/load.ts';
import type { CommandPort } from '../../src/core/command.ts';
import type { CoreLog } from '../../src/core/context.ts';
import { Kernel } from '../../src/kernel/kernel.ts';
import { MODULES } from '../../src/modules/index.ts';
import { memoryPair } from '../../src/net/memory-pair.ts';
import { derive, verify } from '../../src/pool.ts';
import { moduleSchemas } from '../../src/server/module-schemas.ts';
import { Runtime } from '../../src/server/runtime.ts';
import { openMemory } from '../../src/store/memory.ts';
import { makeJid } from '../../src/xmpp/jid.ts';
import { opaqueString } from '../../src/xmpp/precis.ts';
import { report } from './results.ts';

const LOGINS = 300;
const ROUNDS = 7;
const DOMAIN = 'capulet.lit';
const PASSWORD = 'a password';
const ITERATIONS = 10_000;
const silent: CoreLog = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: (what, fields) => console.error(what, fields),
};

const { config } = loadConfig({
  env: {},
  modules: moduleSchemas(),
  values: {
    domains: [DOMAIN],
    c2s: { isTlsRequired: false },
    log: { level: 'silent' },
    shaperRules: { beforeLogin: 'none', users: 'none' },
  },
});
const runtime = new Runtime({
  config,
  kernel: new Kernel({ askOrder: ['c2s', 'account'] }),
  store: openMemory(),
  pool: {
    derive: async (password, iterations) => derive({ password, iterations }),
    verify: async (password, record) => verify({ password, record }),
  },
  log: silent,
  commands: { table: new Map(), run: async () => ({ ok: false, code: 'ERR_NOT_AVAILABLE', message: '' }) } satisfies CommandPort,
  modules: MODULES,
  secret: Buffer.alloc(32, 7),
  now: Date.now,
});
const scram = derive({ password: opaqueString(PASSWORD)!, iterations: ITERATIONS });
await runtime.ask(makeJid('romeo', DOMAIN)!.bare, { kind: 'create_account', scram });

const HEADER = `<stream:stream to='${DOMAIN}' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`;
const SASL = 'urn:ietf:params:xml:ns:xmpp-sasl';
const SASL2 = 'urn:xmpp:sasl:2';
const AGENT = `<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'><software>x</software></user-agent>`;
const BIND = `<bind xmlns='urn:xmpp:bind:0'><tag>x</tag></bind>`;
const base64 = (data: string | Buffer): string => Buffer.from(data).toString('base64');

/** Waits for text that ends a step. */
class Wire {
  private text = '';
  private wanted = '';
  private wake: (() => void) | undefined = undefined;
  private readonly client;

  constructor() {
    const { server, client } = memoryPair();
    this.client = client;
    client.handlers = {
      text: (text) => {
        this.text += text;
        if (this.wake !== undefined && this.text.includes(this.wanted)) this.wake();
      },
    };
    runtime.accept(server);
  }

  async says(xml: string, until: string): Promise<string> {
    this.text = '';
    this.wanted = until;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.wake = resolve;
    this.client.write(xml);
    await promise;
    return this.text;
  }

  end(): void {
    this.client.reset();
  }
}

const keys = new Map<string, { clientKey: Buffer; storedKey: Buffer }>();

/** client-final-message of SCRAM-SHA-256. RFC 5802 §7 */
function proofFor(challenge: string): string {
  const [r, s, i] = challenge.split(',').map((field) => field.slice(2));
  let known = keys.get(s!);
  if (known === undefined) {
    const salted = pbkdf2Sync(PASSWORD, Buffer.from(s!, 'base64'), Number(i), 32, 'sha256');
    const clientKey = createHmac('sha256', salted).update('Client Key').digest();
    keys.set(s!, (known = { clientKey, storedKey: createHash('sha256').update(clientKey).digest() }));
  }
  const final = `c=biws,r=${r}`;
  const signature = createHmac('sha256', known.storedKey).update(`n=romeo,r=abc,${challenge},${final}`).digest();
  return `${final},p=${Buffer.from(known.clientKey.map((byte, at) => byte ^ signature[at]!)).toString('base64')}`;
}

const challengeIn = (text: string): string => Buffer.from(/>([^<]*)<\/challenge>/.exec(text)![1]!, 'base64').toString();

/** RFC 6120: three streams' worth of round trips. */
async function bySasl(): Promise<void> {
  const wire = new Wire();
  await wire.says(HEADER, '</stream:features>');
  const first = await wire.says(`<auth xmlns='${SASL}' mechanism='SCRAM-SHA-256'>${base64('n,,n=romeo,r=abc')}</auth>`, '</challenge>');
  await wire.says(`<response xmlns='${SASL}'>${base64(proofFor(challengeIn(first)))}</response>`, '</success>');
  await wire.says(HEADER, '</stream:features>');
  await wire.says(`<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>x</resource></bind></iq>`, '</iq>');
  wire.end();
}

let token = '';

async function bySasl2(wish = ''): Promise<void> {
  const wire = new Wire();
  await wire.says(HEADER, '</stream:features>');
  const request = `<authenticate xmlns='${SASL2}' mechanism='SCRAM-SHA-256'><initial-response>${base64('n,,n=romeo,r=abc')}</initial-response>${AGENT}${BIND}${wish}</authenticate>`;
  const first = await wire.says(request, '</challenge>');
  const last = await wire.says(`<response xmlns='${SASL2}'>${base64(proofFor(challengeIn(first)))}</response>`, '</stream:features>');
  token = / token='([^']+)'/.exec(last)?.[1] ?? token;
  wire.end();
}

/** All sent ahead: one round trip. */
async function byToken(): Promise<void> {
  const wire = new Wire();
  const hash = createHmac('sha256', token).update('Initiator').digest();
  const response = base64(Buffer.concat([Buffer.from('romeo\0'), hash]));
  const text = await wire.says(
    `${HEADER}<authenticate xmlns='${SASL2}' mechanism='HT-SHA-256-NONE'><initial-response>${response}</initial-response>${AGENT}${BIND}<fast xmlns='urn:xmpp:fast:0'/></authenticate>`,
    '</success>',
  );
  token = / token='([^']+)'/.exec(text)?.[1] ?? token;
  wire.end();
}

async function measure(name: string, login: () => Promise<void>): Promise<void> {
  let best = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    const before = process.cpuUsage();
    for (let i = 0; i < LOGINS; i++) await login();
    const { user, system } = process.cpuUsage(before);
    best = Math.min(best, (user + system) / LOGINS);
  }
  report(name, best, 'us');
}

await measure('SCRAM-SHA-256 and bind, RFC 6120', bySasl);
await measure('SCRAM-SHA-256 by SASL2 with Bind 2', bySasl2);
await bySasl2(`<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>`);
await measure('token by SASL2 with Bind 2', byToken);
process.exit(0);
