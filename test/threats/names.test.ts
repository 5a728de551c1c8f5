/**
 * Rows of the table of threats about names that are not what they look like: addresses, passwords, senders, commands.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { prepare, ROLES } from '../../src/core/command.ts';
import { ACCOUNTS } from '../../src/core/accounts.ts';
import { makeTlsFacts } from '../../src/net/memory-pair.ts';
import { serverCommands } from '../../src/server/commands.ts';
import { childElements, childOf, textOf } from '../harness/xml.ts';
import { LOOK_ALIKES, NO_ADDRESS, ONE_ADDRESS } from '../sasl/certificates.ts';
import { base64, DOMAIN, errorXml, SASL, threat } from './scene.ts';

const REGISTER = 'jabber:iq:register';
const ROSTER = 'jabber:iq:roster';
const OPEN = { config: { accounts: { registration: 'open', registrationRate: { count: 100, windowMs: 3_600_000 } } } } as const;
const FULLWIDTH = '\uff52\uff4f\uff4d\uff45\uff4f';

// JID confusables / PRECIS vs stringprep split

threat('JID confusables / PRECIS vs stringprep split: an account has one name, however it is typed, for logging in', async (scene) => {
  scene.cast.offline('romeo');
  await scene.cast.ready();
  for (const name of ['romeo', 'ROMEO', 'RoMeO', FULLWIDTH, `Romeo@CAPULET.lit`, `romeo@${DOMAIN}.`]) {
    const client = await scene.opened();
    await client.sends(`<auth xmlns='${SASL}' mechanism='PLAIN'>${base64(`\0${name}\0secret of romeo`)}</auth>`);
    await client.receives(`<success xmlns='${SASL}'/>`);
    await client.opensStream();
    await client.receivesStream();
    await client.receivesFeatures();
    assert.match(await client.binds(), /^romeo@capulet\.lit\//, name);
    await client.drops();
  }
  assert.deepEqual(await scene.store.partitions(ACCOUNTS), [`romeo@${DOMAIN}`]);
});

threat('JID confusables / PRECIS vs stringprep split: for registering, so that nobody gets the name of another', OPEN, async (scene) => {
  scene.cast.offline('romeo');
  await scene.cast.ready();
  const registers = async (username: string): Promise<string> => {
    const client = await scene.opened();
    await client.sends(
      `<iq type='set' id='r'><query xmlns='${REGISTER}'><username>${username}</username><password>calliope the muse</password></query></iq>`,
    );
    const error = childOf(await client.takes('an answer', () => true), 'error');
    await client.drops();
    return error === undefined ? 'registered' : childElements(error)[0]!.name;
  };
  for (const name of ['ROMEO', FULLWIDTH, 'romeo']) assert.equal(await registers(name), 'conflict', name);
  // Cyrillic о, zero width, soft hyphen, right-to-left override, ligature, blank, digit look-alikes of other scripts.
  for (const name of [
    'r\u043emeo',
    'ro\u200bmeo',
    'ro\u00admeo',
    'romeo\u202e',
    'o\ufb03ce',
    'romeo ',
    ' romeo',
    'ro\u2028meo',
    'rom\u0435o',
  ]) {
    assert.equal(await registers(name), 'not-acceptable', JSON.stringify(name));
  }
  for (const name of ['\u0440\u043e\u043c\u0435\u043e', 'r\u00f3meo', '\u5f20\u4f1f'])
    assert.equal(await registers(name), 'registered', 'names of one script are nobody’s imitation');
});

threat('JID confusables / PRECIS vs stringprep split: for messages and rosters; a contact is there once', async (scene) => {
  const { romeo, juliet } = scene.cast;
  await juliet.becomesAvailable();
  for (const to of [`JULIET@${DOMAIN}`, 'juliet@CAPULET.LIT', `juliet@${DOMAIN}.`, `\uff4a\uff55\uff4c\uff49\uff45\uff54@${DOMAIN}`]) {
    await romeo.sends(`<message type='chat' to='${to}'><body>x</body></message>`);
    await juliet.receives(`<message type='chat' from='${romeo.full}' to='${juliet.bare}'><body>x</body></message>`);
    await romeo.sends(`<iq type='set' id='s'><query xmlns='${ROSTER}'><item jid='${to}'/></query></iq>`);
    await romeo.receives(`<iq type='result' id='s'/>`);
  }
  await romeo.sends(`<iq type='get' id='r'><query xmlns='${ROSTER}'/></iq>`);
  await romeo.receives(
    `<iq type='result' id='r'><query xmlns='${ROSTER}' ver='{any}'><item jid='${juliet.bare}' subscription='none'/></query></iq>`,
  );
  // Resources are as they are written: RFC 7622 §3.4
  await romeo.sends(`<iq type='get' id='q' to='${juliet.bare}/WINDOW'><x xmlns='urn:x'/></iq>`);
  await romeo.receives(`<iq type='error' id='q'>${errorXml('cancel', 'service-unavailable')}</iq>`);
  await juliet.receivesNothing();
});

threat('JID confusables / PRECIS vs stringprep split: what is no address is refused, not repaired', async (scene) => {
  const { romeo } = scene.cast;
  for (const to of [
    '@capulet.lit',
    'a@',
    'a@b@c',
    'juliet @capulet.lit',
    `juliet@${DOMAIN}/`,
    `ju&lt;liet@${DOMAIN}`,
    'juliet@capulet..lit',
    'juliet@-capulet.lit',
    `${'a'.repeat(1_024)}@${DOMAIN}`,
    `juliet@${DOMAIN}/${'r'.repeat(1_024)}`,
    `ju\u200bliet@${DOMAIN}`,
    `juliet\u202e@${DOMAIN}`,
  ]) {
    await romeo.sends(`<message id='m' type='chat' to='${to}'><body>x</body></message>`);
    await romeo.receives(`<message type='error' id='m'>${errorXml('modify', 'jid-malformed')}</message>`);
  }
});

// LDAP injection, empty password bind

threat('LDAP injection, empty password bind: an empty password is none, for logging in, registering and changing', OPEN, async (scene) => {
  const { romeo } = scene.cast;
  await romeo.sync();
  for (const message of ['\0romeo\0', 'romeo\0romeo\0', '\0romeo', '\0\0']) {
    const client = await scene.opened();
    await client.sends(`<auth xmlns='${SASL}' mechanism='PLAIN'>${base64(message)}</auth>`);
    await client.receives(`<failure xmlns='${SASL}'><malformed-request/></failure>`);
  }
  const client = await scene.opened();
  await client.sends(`<iq type='set' id='r'><query xmlns='${REGISTER}'><username>bill</username><password/></query></iq>`);
  await client.receives(`<iq type='error' id='r'>${errorXml('modify', 'not-acceptable')}</iq>`);
  await romeo.sends(`<iq type='set' id='c' to='${DOMAIN}'><query xmlns='${REGISTER}'><username>romeo</username><password/></query></iq>`);
  await romeo.receives(`<iq type='error' id='c'>${errorXml('modify', 'bad-request')}</iq>`);
});

threat('LDAP injection, empty password bind: what would mean something to a directory means nothing here', async (scene) => {
  scene.cast.offline('romeo');
  await scene.cast.ready();
  for (const name of ['*', 'romeo*', 'romeo)(|(uid=*', '*)(uid=*))(|(uid=*', `romeo' or '1'='1`, 'romeo%00', 'romeo\\', '../romeo']) {
    const client = await scene.opened();
    await client.sends(`<auth xmlns='${SASL}' mechanism='PLAIN'>${base64(`\0${name}\0secret of romeo`)}</auth>`);
    await client.receives(`<failure xmlns='${SASL}'><not-authorized/></failure>`);
  }
  assert.deepEqual(await scene.store.partitions(ACCOUNTS), [`romeo@${DOMAIN}`]);
});

// Reverse-proxy header spoof

threat('Reverse-proxy header spoof: no listener believes what a client says of its address', async (scene) => {
  for (const header of [
    'PROXY TCP4 192.0.2.7 192.0.2.1 4000 5222\r\n',
    '\r\n\r\n\0\r\nQUIT\n!\u0011\0\u000c',
    'X-Forwarded-For: 192.0.2.7\r\n',
  ]) {
    const client = await scene.cast.raw();
    await client.sends(
      `${header}<stream:stream to='${DOMAIN}' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`,
    );
    await client.isClosedWith('not-well-formed');
  }
});

// S2S EXTERNAL identity, as far as it concerns clients

for (const [name, certificate, isOffered] of [
  ['xmppAddr', ONE_ADDRESS, true],
  ['a common name', NO_ADDRESS, false],
  ['other names that look alike', LOOK_ALIKES, false],
] as const) {
  const tls = makeTlsFacts({ peerCertificate: new X509Certificate(certificate), isPeerTrusted: true });
  threat(
    `S2S EXTERNAL identity: of clients, too: ${name} ${isOffered ? 'proves who it is' : 'proves nothing'}`,
    { config: { domains: ['capulet.example'] }, connection: { tls } },
    async (scene) => {
      scene.cast.offline('juliet');
      await scene.cast.ready();
      const client = await scene.cast.raw();
      await client.opensStream();
      await client.receivesStream();
      const mechanisms = childElements(childOf(await client.receivesFeatures(), 'mechanisms', SASL)!).map(textOf);
      assert.equal(mechanisms.includes('EXTERNAL'), isOffered);
      await client.sends(`<auth xmlns='${SASL}' mechanism='EXTERNAL'>${base64('juliet@capulet.example')}</auth>`);
      if (isOffered) await client.receives(`<success xmlns='${SASL}'/>`);
      else await client.receives(`<failure xmlns='${SASL}'><invalid-mechanism/></failure>`);
    },
  );
}

// GraphQL/REST authorization bypass: the command layer decides

test('GraphQL/REST authorization bypass: every command of the server asks for its role before anything else, whatever it is called with', () => {
  const table = serverCommands();
  for (const [name, command] of table) {
    for (const role of ROLES) {
      const caller = { role, name: 'juliet@capulet.lit', jid: 'juliet@capulet.lit/balcony' };
      const mayRun = ROLES.indexOf(role) >= ROLES.indexOf(command.role);
      for (const args of [undefined, null, {}, { role: 'operator' }, { __proto__: { role: 'operator' } }, [], 'x']) {
        if (mayRun) continue;
        assert.throws(() => prepare(table, name, args, caller), { code: 'ERR_COMMAND_FORBIDDEN' }, `${name} as ${role}`);
      }
      assert.throws(() => prepare(table, name, { unknown: 1 }, caller), {
        code: mayRun ? 'ERR_COMMAND_ARGUMENTS' : 'ERR_COMMAND_FORBIDDEN',
      });
    }
  }
  for (const name of ['', ' status', 'STATUS', 'user', 'constructor', '__proto__', 'toString']) {
    assert.throws(() => prepare(table, name, {}, { role: 'operator', name: 'x' }), { code: 'ERR_COMMAND_UNKNOWN' }, `'${name}'`);
  }
});
