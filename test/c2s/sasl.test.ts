/** RFC 6120 §6: SASL on the wire. The mechanisms themselves are tested in test/sasl. */
import assert from 'node:assert/strict';
import type { CastOfClients } from '../harness/cast.ts';
import { scramLogin } from '../harness/scram-client.ts';
import type { StreamClient } from '../harness/stream-client.ts';
import { transcript } from '../harness/transcript.ts';
import { childElements, childOf, textOf } from '../harness/xml.ts';

const SASL = 'urn:ietf:params:xml:ns:xmpp-sasl';
const plain = (text: string): string => `<auth xmlns='${SASL}' mechanism='PLAIN'>${Buffer.from(text).toString('base64')}</auth>`;
const failure = (condition: string): string => `<failure xmlns='${SASL}' match:rest='ignore'><${condition}/></failure>`;

async function begun(cast: CastOfClients): Promise<StreamClient> {
  await cast.ready();
  const client = await cast.raw();
  await client.beginsStream();
  return client;
}

for (const mechanism of ['SCRAM-SHA-1', 'SCRAM-SHA-256', 'SCRAM-SHA-512']) {
  transcript(
    `RFC 5802: ${mechanism}, and the server proves itself, too`,
    { differs: mechanism === 'SCRAM-SHA-512' ? { prosody: 'does not offer it' } : {} },
    async (cast) => {
      const { romeo } = cast;
      const client = await begun(cast);
      await scramLogin(client, romeo.local, cast.passwordOf('romeo'), [mechanism]);
      await client.beginsStream();
      assert.equal(await client.binds('x'), `${romeo.bare}/x`);
    },
  );
}

transcript('RFC 6120 §6.4.1: mechanisms are offered, strongest first', { onlyOurs: 'our order' }, async (cast) => {
  const client = await cast.raw();
  const mechanisms = childElements(childOf(await client.beginsStream(), 'mechanisms', SASL)!).map(textOf);
  assert.deepEqual(mechanisms, ['SCRAM-SHA-512', 'SCRAM-SHA-256', 'SCRAM-SHA-1', 'PLAIN']);
});

transcript('RFC 6120 §6.4.6: success, and then a new stream whose features are other ones', async (cast) => {
  const { romeo } = cast;
  const client = await begun(cast);
  const { id } = client.header;
  await client.sends(plain(`\0${romeo.local}\0${cast.passwordOf('romeo')}`));
  await client.receives(`<success xmlns='${SASL}'/>`);
  await client.opensStream();
  assert.notEqual((await client.receivesStream())['id'], id);
  const features = await client.receivesFeatures();
  assert.ok(childOf(features, 'bind', 'urn:ietf:params:xml:ns:xmpp-bind'));
  assert.equal(childOf(features, 'mechanisms'), undefined);
});

transcript('RFC 6120 §6.4.5: after a failure the client may try again', async (cast) => {
  const { romeo } = cast;
  const client = await begun(cast);
  await client.sends(plain(`\0${romeo.local}\0wrong password`));
  await client.receives(failure('not-authorized'));
  await client.sends(plain(`\0${romeo.local}\0${cast.passwordOf('romeo')}`));
  await client.receives(`<success xmlns='${SASL}'/>`);
});

transcript('RFC 6120 §6.4.5: but not for ever', { config: { c2s: { maxLoginAttempts: 3 } } }, async (cast) => {
  const { romeo } = cast;
  const client = await begun(cast);
  for (let i = 0; i < 3; i++) {
    await client.sends(plain(`\0${romeo.local}\0wrong password`));
    await client.receives(failure('not-authorized'));
  }
  await client.isClosedWith('policy-violation');
});

transcript(
  'RFC 6120 §6.5.10: a wrong password, an unknown and a disabled account look alike',
  { onlyOurs: 'disables an account' },
  async (cast) => {
    const { romeo } = cast;
    const nurse = cast.offline('nurse');
    await cast.ready();
    await cast.memory.ask(nurse.local, { kind: 'set_enabled', isEnabled: false });
    for (const [local, password] of [
      [romeo.local, 'wrong password'],
      ['nobody', 'wrong password'],
      [nurse.local, cast.passwordOf('nurse')],
    ]) {
      const client = await begun(cast);
      await client.sends(plain(`\0${local}\0${password}`));
      await client.receives(`<failure xmlns='${SASL}'><not-authorized/></failure>`);
    }
    await romeo.receivesNothing();
  },
);

transcript(
  'RFC 5802 §5.1: SCRAM tells an unknown account by nothing, not even by its salt',
  { onlyOurs: 'ours makes up a salt' },
  async (cast) => {
    const challengeOf = async (local: string): Promise<string[]> => {
      const client = await begun(cast);
      await client.sends(`<auth xmlns='${SASL}' mechanism='SCRAM-SHA-256'>${Buffer.from(`n,,n=${local},r=abc`).toString('base64')}</auth>`);
      const challenge = Buffer.from(textOf(await client.receives(`<challenge xmlns='${SASL}'>{any}</challenge>`)), 'base64').toString();
      await client.sends(
        `<response xmlns='${SASL}'>${Buffer.from(`c=biws,${challenge.split(',')[0]},p=AAAA`).toString('base64')}</response>`,
      );
      await client.receives(`<failure xmlns='${SASL}'>{any}</failure>`);
      return challenge.split(',').slice(1);
    };
    await cast.romeo.sync();
    const nobody = await challengeOf('nobody');
    assert.deepEqual(await challengeOf('nobody'), nobody);
    const romeo = await challengeOf(cast.romeo.local);
    assert.deepEqual([nobody[0]!.length, nobody[1]], [romeo[0]!.length, romeo[1]]);
  },
);

transcript(
  'RFC 6120 §6.5.7: a mechanism that was not offered',
  { differs: { prosody: 'says malformed-request for some', ejabberd: 'goes on with some' } },
  async (cast) => {
    for (const mechanism of ['DIGEST-MD5', 'X-OAUTH2', 'SCRAM-SHA-256-PLUS', 'EXTERNAL', 'ANONYMOUS']) {
      const client = await begun(cast);
      await client.sends(`<auth xmlns='${SASL}' mechanism='${mechanism}'>eCw=</auth>`);
      await client.receives(failure('invalid-mechanism'));
    }
  },
);

transcript('RFC 6120 §6.5.7: no mechanism at all', { onlyOurs: 'others close the stream' }, async (cast) => {
  const client = await begun(cast);
  await client.sends(`<auth xmlns='${SASL}'/>`);
  await client.receives(failure('invalid-mechanism'));
});

transcript(
  'RFC 6120 §6.5.5: data that is no Base64',
  { differs: { prosody: 'takes some', ejabberd: 'takes it for malformed' } },
  async (cast) => {
    for (const data of ['!!!', 'AHJvbWVvAHg', 'AH Jv', '=AAA']) {
      const client = await begun(cast);
      await client.sends(`<auth xmlns='${SASL}' mechanism='PLAIN'>${data}</auth>`);
      await client.receives(failure('incorrect-encoding'));
    }
  },
);

transcript(
  'RFC 6120 §6.5.8: a message that is none of the mechanism',
  { differs: { ejabberd: 'says not-authorized', prosody: 'says so of some' } },
  async (cast) => {
    for (const text of ['romeo', '\0romeo', '\0\0secret', '\0romeo\0', 'a\0b\0c\0d']) {
      const client = await begun(cast);
      await client.sends(plain(text));
      await client.receives(failure('malformed-request'));
    }
  },
);

transcript(
  'RFC 6120 §6.5.6: somebody else may not be authorized as',
  { differs: { prosody: 'ignores it', ejabberd: 'says not-authorized' } },
  async (cast) => {
    const { romeo, juliet } = cast;
    for (const authzid of [juliet.bare, 'romeo@montague.example', `${cast.domain}`]) {
      const client = await begun(cast);
      await client.sends(plain(`${authzid}\0${romeo.local}\0${cast.passwordOf('romeo')}`));
      await client.receives(failure('invalid-authzid'));
    }
  },
);

transcript('RFC 6120 §6.3.8: the own bare JID may be named', async (cast) => {
  const { romeo } = cast;
  const client = await begun(cast);
  await client.sends(plain(`${romeo.bare}\0${romeo.local}\0${cast.passwordOf('romeo')}`));
  await client.receives(`<success xmlns='${SASL}'/>`);
});

transcript(
  'RFC 6120 §6.4.2: PLAIN without an initial response is asked for',
  { differs: { prosody: 'fails it', ejabberd: 'fails it' } },
  async (cast) => {
    const { romeo } = cast;
    const client = await begun(cast);
    await client.sends(`<auth xmlns='${SASL}' mechanism='PLAIN'/>`);
    await client.receives(`<challenge xmlns='${SASL}'>{any}</challenge>`);
    await client.sends(
      `<response xmlns='${SASL}'>${Buffer.from(`\0${romeo.local}\0${cast.passwordOf('romeo')}`).toString('base64')}</response>`,
    );
    await client.receives(`<success xmlns='${SASL}'/>`);
  },
);

transcript('RFC 6120 §6.4.4: the client may give up in the middle, and begin anew', async (cast) => {
  const { romeo } = cast;
  const client = await begun(cast);
  await client.sends(`<auth xmlns='${SASL}' mechanism='SCRAM-SHA-1'>${Buffer.from(`n,,n=${romeo.local},r=abc`).toString('base64')}</auth>`);
  await client.receives(`<challenge xmlns='${SASL}'>{any}</challenge>`);
  await client.sends(`<abort xmlns='${SASL}'/>`);
  await client.receives(failure('aborted'));
  await client.sends(plain(`\0${romeo.local}\0${cast.passwordOf('romeo')}`));
  await client.receives(`<success xmlns='${SASL}'/>`);
});

transcript(
  'RFC 6120 §6.4.3: a second login in the middle of the first is none',
  { onlyOurs: 'others answer in other words' },
  async (cast) => {
    const client = await begun(cast);
    await client.sends(
      `<auth xmlns='${SASL}' mechanism='SCRAM-SHA-1'>${Buffer.from(`n,,n=${cast.romeo.local},r=abc`).toString('base64')}</auth>`,
    );
    await client.receives(`<challenge xmlns='${SASL}'>{any}</challenge>`);
    await client.sends(plain(`\0${cast.romeo.local}\0${cast.passwordOf('romeo')}`));
    await client.receives(failure('malformed-request'));
  },
);

transcript('RFC 6120 §6.4.3: nothing but SASL in the middle of a login', { onlyOurs: 'others answer in other words' }, async (cast) => {
  const client = await begun(cast);
  await client.sends(
    `<auth xmlns='${SASL}' mechanism='SCRAM-SHA-1'>${Buffer.from(`n,,n=${cast.romeo.local},r=abc`).toString('base64')}</auth>`,
  );
  await client.receives(`<challenge xmlns='${SASL}'>{any}</challenge>`);
  await client.sends('<presence/>');
  await client.isClosedWith('not-authorized');
});

transcript('RFC 6120 §6.4.2: a response nobody asked for', { onlyOurs: 'others answer in other words' }, async (cast) => {
  const client = await begun(cast);
  await client.sends(`<response xmlns='${SASL}'>AAAA</response>`);
  await client.closedSomehow(['not-authorized', 'unsupported-stanza-type', 'policy-violation']);
});

transcript('RFC 6120 §6.4.6: a login after the login is not one', { onlyOurs: 'others answer in other words' }, async (cast) => {
  const { romeo } = cast;
  const client = await cast.raw();
  await client.logsIn({ local: romeo.local, password: cast.passwordOf('romeo') });
  await client.sends(plain(`\0${cast.romeo.local}\0${cast.passwordOf('romeo')}`));
  await client.closedSomehow(['policy-violation', 'unsupported-stanza-type', 'not-authorized']);
});

transcript(
  'CVE-2011-0411, its kin: what was sent before the client could know of its success is not of the new stream',
  { onlyOurs: 'others read it' },
  async (cast) => {
    const { romeo } = cast;
    const client = await begun(cast);
    client.write(
      `${plain(`\0${romeo.local}\0${cast.passwordOf('romeo')}`)}<iq type='set' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>`,
    );
    await client.isClosedWith('policy-violation');
  },
);

transcript(
  'RFC 4505, XEP-0175: anyone gets in where the operator wants it, each under a name of his own',
  { config: { accounts: { anonymousHosts: ['capulet.lit'] } } },
  async (cast) => {
    const names = new Set<string>();
    for (const trace of ['', Buffer.from('sirhc').toString('base64'), '=']) {
      const client = await cast.raw();
      await client.beginsStream();
      await client.sends(`<auth xmlns='${SASL}' mechanism='ANONYMOUS'>${trace}</auth>`);
      await client.receives(`<success xmlns='${SASL}'/>`);
      await client.beginsStream();
      names.add((await client.binds('x')).split('@')[0]!);
    }
    assert.equal(names.size, 3);
  },
);
