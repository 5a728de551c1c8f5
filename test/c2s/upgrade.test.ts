/** XEP-0480: a password gets the stored forms it lacks. */
import assert from 'node:assert/strict';
import { pbkdf2Sync } from 'node:crypto';
import { derive } from '../../src/pool.ts';
import { opaqueString } from '../../src/xmpp/precis.ts';
import type { CastOfClients } from '../harness/cast.ts';
import type { StreamClient } from '../harness/stream-client.ts';
import { transcript } from '../harness/transcript.ts';
import { childElements, childOf, textOf, type XmlElement } from '../harness/xml.ts';
import { ScramClient } from '../sasl/scram-client.ts';
import { authenticate, base64, failure, ONLY_OURS, opened, SASL2, succeeds } from './sasl2-client.ts';

const UPGRADE = 'urn:xmpp:sasl:upgrade:0';
const SCRAM = 'urn:xmpp:scram-upgrade:0';
const upgrade = (name: string): string => `<upgrade xmlns='${UPGRADE}'>${name}</upgrade>`;
const next = (name: string): string => `<next xmlns='${SASL2}' task='${name}'/>`;

/** Romeo's account came from a server that had SHA-1 only. */
async function old(cast: CastOfClients): Promise<void> {
  cast.offline('romeo');
  await cast.ready();
  const scram = derive({ password: opaqueString(cast.passwordOf('romeo'))!, iterations: 1 }).filter(({ hash }) => hash === 'SHA-1');
  await cast.memory.ask('romeo', { kind: 'set_credentials', scram, closeSessions: false });
}

/** Logs in as far as the server's answer to the proof. */
async function scram(
  cast: CastOfClients,
  mechanism: string,
  ...wishes: readonly string[]
): Promise<{ client: StreamClient; isProved: (data: string) => boolean }> {
  const client = await opened(cast);
  const exchange = new ScramClient({ mechanism, username: cast.localOf('romeo'), password: cast.passwordOf('romeo') });
  await client.sends(authenticate(mechanism, exchange.first(), ...wishes));
  const challenge = Buffer.from(textOf(await client.receives(`<challenge xmlns='${SASL2}'>{any}</challenge>`)), 'base64');
  await client.sends(`<response xmlns='${SASL2}'>${base64(exchange.final(challenge))}</response>`);
  return { client, isProved: (data) => exchange.isServerProved(Buffer.from(data, 'base64')) };
}

async function takesTask(client: StreamClient, name: string): Promise<XmlElement> {
  const element = await client.receives(
    `<continue xmlns='${SASL2}'><additional-data match:optional='true'>{any}</additional-data><tasks><task>${name}</task></tasks></continue>`,
  );
  await client.sends(next(name));
  return element;
}

async function doesTask(cast: CastOfClients, client: StreamClient, digest: string, bytes: number): Promise<void> {
  const data = await client.receives(`<task-data xmlns='${SASL2}'><salt xmlns='${SCRAM}' iterations='{any}'>{any}</salt></task-data>`);
  const salt = childOf(data, 'salt', SCRAM)!;
  const salted = pbkdf2Sync(cast.passwordOf('romeo'), Buffer.from(textOf(salt), 'base64'), Number(salt.attrs['iterations']), bytes, digest);
  await client.sends(`<task-data xmlns='${SASL2}'><hash xmlns='${SCRAM}'>${base64(salted)}</hash></task-data>`);
}

transcript('XEP-0480 §2.1: which tasks there are', ONLY_OURS, async (cast) => {
  const client = await cast.raw();
  const tasks = childElements(childOf(await client.beginsStream(), 'authentication', SASL2)!).filter(({ ns }) => ns === UPGRADE);
  assert.deepEqual(tasks.map(textOf), ['UPGR-SCRAM-SHA-256', 'UPGR-SCRAM-SHA-512']);
});

transcript(
  'XEP-0480 §2.2, §3: one task after the other, then the login is over; later ones have the new mechanisms',
  ONLY_OURS,
  async (cast) => {
    await old(cast);
    const { client, isProved } = await scram(cast, 'SCRAM-SHA-1', upgrade('UPGR-SCRAM-SHA-256'), upgrade('UPGR-SCRAM-SHA-512'));
    const first = await takesTask(client, 'UPGR-SCRAM-SHA-256');
    assert.ok(isProved(textOf(childOf(first, 'additional-data', SASL2)!)));
    await doesTask(cast, client, 'sha256', 32);
    await takesTask(client, 'UPGR-SCRAM-SHA-512');
    await doesTask(cast, client, 'sha512', 64);
    const { success } = await succeeds(client);
    assert.equal(childOf(success, 'additional-data', SASL2), undefined);
    assert.equal(await client.binds('x'), `${cast.romeo.bare}/x`);
    for (const mechanism of ['SCRAM-SHA-1', 'SCRAM-SHA-256', 'SCRAM-SHA-512']) {
      const later = await scram(cast, mechanism);
      await succeeds(later.client);
    }
  },
);

transcript('XEP-0480: what the account has already is no task, nor is what is not offered', ONLY_OURS, async (cast) => {
  await old(cast);
  const { client } = await scram(cast, 'SCRAM-SHA-1', upgrade('UPGR-SCRAM-SHA-1'), upgrade('UPGR-BLOOP2'), upgrade('constructor'));
  await succeeds(client);
  cast.offline('juliet');
  await cast.ready();
  const full = await opened(cast);
  const login = `\0${cast.localOf('juliet')}\0${cast.passwordOf('juliet')}`;
  await full.sends(authenticate('PLAIN', login, upgrade('UPGR-SCRAM-SHA-512')));
  await succeeds(full);
});

transcript('XEP-0480: nothing is offered to who has not logged in', ONLY_OURS, async (cast) => {
  const client = await opened(cast);
  await client.sends(authenticate('PLAIN', `\0${cast.localOf('romeo')}\0wrong password`, upgrade('UPGR-SCRAM-SHA-512')));
  await client.receives(failure('not-authorized'));
});

transcript('XEP-0480 §3: a hash that is none fails the login, and nothing is kept', ONLY_OURS, async (cast) => {
  await old(cast);
  for (const hash of ['', 'AAAA', '!!!']) {
    const { client } = await scram(cast, 'SCRAM-SHA-1', upgrade('UPGR-SCRAM-SHA-256'));
    await takesTask(client, 'UPGR-SCRAM-SHA-256');
    await client.receives(`<task-data xmlns='${SASL2}'>{any}</task-data>`);
    await client.sends(`<task-data xmlns='${SASL2}'><hash xmlns='${SCRAM}'>${hash}</hash></task-data>`);
    await client.receives(failure('malformed-request'));
  }
  const { client } = await scram(cast, 'SCRAM-SHA-256');
  await client.receives(failure('not-authorized'));
});

transcript('XEP-0388 §2.6.3: out of turn, a task ends the stream; it can be given up', ONLY_OURS, async (cast) => {
  await old(cast);
  for (const element of [next('UPGR-SCRAM-SHA-512'), `<task-data xmlns='${SASL2}'/>`, authenticate('PLAIN', 'x')]) {
    const { client } = await scram(cast, 'SCRAM-SHA-1', upgrade('UPGR-SCRAM-SHA-256'));
    await client.receives(`<continue xmlns='${SASL2}'>{any}</continue>`);
    await client.sends(element);
    await client.isClosedWith('policy-violation');
  }
  const { client } = await scram(cast, 'SCRAM-SHA-1', upgrade('UPGR-SCRAM-SHA-256'));
  await client.receives(`<continue xmlns='${SASL2}'>{any}</continue>`);
  await client.sends(`<abort xmlns='${SASL2}'/>`);
  await client.receives(failure('aborted'));
});
