import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RegistrationLimiter } from '../../src/modules/registration/limiter.ts';
import type { CastOfClients } from '../harness/cast.ts';
import type { StreamClient } from '../harness/stream-client.ts';
import { transcript } from '../harness/transcript.ts';
import { childOf } from '../harness/xml.ts';

const REGISTER = 'jabber:iq:register';
const OPEN = { config: { accounts: { registration: 'open' } } } as const;
const error = (type: string, condition: string) =>
  `<error type='${type}'><${condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`;
const NOT_ACCEPTABLE = error('modify', 'not-acceptable');
const fields = (username: string, password: string) =>
  `<query xmlns='${REGISTER}'><username>${username}</username><password>${password}</password></query>`;

/** A stream before login, its features read. */
async function connected(cast: CastOfClients): Promise<StreamClient> {
  const client = await cast.raw();
  await client.beginsStream();
  return client;
}

transcript('XEP-0077 §8: where registration is open, the stream features say so before login', OPEN, async (cast) => {
  const { romeo } = cast;
  const client = await cast.raw();
  await client.opensStream();
  await client.receivesStream();
  assert.ok(childOf(await client.receivesFeatures(), 'register', 'http://jabber.org/features/iq-register'));
  const after = await (await cast.raw()).logsIn({ local: romeo.local, password: cast.passwordOf('romeo') });
  assert.equal(childOf(after, 'register'), undefined);
});

transcript(
  'XEP-0077 §3.1: where it is not, there is no feature, and get and set are refused',
  { config: { accounts: { registration: 'off' } } },
  async (cast) => {
    const client = await cast.raw();
    await client.opensStream();
    await client.receivesStream();
    assert.equal(childOf(await client.receivesFeatures(), 'register', 'http://jabber.org/features/iq-register'), undefined);
    await client.sends(`<iq type='get' id='r1' to='${cast.domain}'><query xmlns='${REGISTER}'/></iq>`);
    await client.receives(`<iq type='error' id='r1' from='${cast.domain}'>${error('cancel', 'service-unavailable')}</iq>`);
    await client.sends(`<iq type='set' id='r2' to='${cast.domain}'>${fields('bill', 'calliope the muse')}</iq>`);
    await client.receives(`<iq type='error' id='r2'>${error('cancel', 'service-unavailable')}</iq>`);
  },
);

transcript('XEP-0077 §3.1: the fields, and the same as a data form', OPEN, async (cast) => {
  const client = await connected(cast);
  await client.sends(`<iq type='get' id='r1' to='${cast.domain}'><query xmlns='${REGISTER}'/></iq>`);
  await client.receives(`
    <iq type='result' id='r1' from='${cast.domain}'>
      <query xmlns='${REGISTER}'>
        <instructions>{any}</instructions><username/><password/>
        <x xmlns='jabber:x:data' type='form'>
          <title>{any}</title><instructions>{any}</instructions>
          <field var='FORM_TYPE' type='hidden'><value>${REGISTER}</value></field>
          <field var='username' type='text-single' label='{any}'><required/></field>
          <field var='password' type='text-private' label='{any}'><required/></field>
        </x>
      </query>
    </iq>`);
});

transcript('XEP-0077 §3.1: an account is made, and can be used on the same stream', OPEN, async (cast) => {
  const client = await connected(cast);
  await client.sends(`<iq type='set' id='r2'>${fields('Bill', 'calliope the muse')}</iq>`);
  await client.receives(`<iq type='result' id='r2'/>`);
  await client.sends(
    `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>${Buffer.from('\0bill\0calliope the muse').toString('base64')}</auth>`,
  );
  await client.receives(`<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>`);
  await client.beginsStream();
  assert.equal(await client.binds('globe'), `bill@${cast.domain}/globe`);
});

transcript('XEP-0077 §4: an account is made by data form, which takes precedence', OPEN, async (cast) => {
  const client = await connected(cast);
  await client.sends(`
    <iq type='set' id='r2'>
      <query xmlns='${REGISTER}'>
        <x xmlns='jabber:x:data' type='submit'>
          <field var='FORM_TYPE' type='hidden'><value>${REGISTER}</value></field>
          <field var='username'><value>bill</value></field>
          <field var='password'><value>calliope the muse</value></field>
        </x>
        <username>francis</username><password>somebody else</password>
      </query>
    </iq>`);
  await client.receives(`<iq type='result' id='r2'/>`);
  await (await cast.raw()).logsIn({ local: 'bill', password: 'calliope the muse' });
});

transcript('XEP-0077 §3.1: a username in use is a conflict, in whatever case', OPEN, async (cast) => {
  const { romeo } = cast;
  await romeo.sync();
  const client = await connected(cast);
  for (const username of [romeo.local, romeo.local.toUpperCase()]) {
    await client.sends(`<iq type='set' id='r2'>${fields(username, 'calliope the muse')}</iq>`);
    await client.receives(`<iq type='error' id='r2'>${error('cancel', 'conflict')}</iq>`);
  }
  await romeo.receivesNothing();
});

transcript('XEP-0077 §3.1: something missing or empty is not acceptable', OPEN, async (cast) => {
  const client = await connected(cast);
  for (const content of [
    '',
    '<username>bill</username>',
    '<password>calliope the muse</password>',
    '<username>bill</username><password/>',
    '<username/><password>x</password>',
  ]) {
    await client.sends(`<iq type='set' id='r2'><query xmlns='${REGISTER}'>${content}</query></iq>`);
    await client.receives(`<iq type='error' id='r2'>${NOT_ACCEPTABLE}</iq>`);
  }
  await client.sends(`
    <iq type='set' id='r3'>
      <query xmlns='${REGISTER}'><x xmlns='jabber:x:data' type='submit'><field var='username'><value>bill</value></field></x></query>
    </iq>`);
  await client.receives(`<iq type='error' id='r3'>${NOT_ACCEPTABLE}</iq>`);
  await client.sends(`<iq type='set' id='r4'><query xmlns='${REGISTER}'><x xmlns='jabber:x:data'/></query></iq>`);
  await client.receives(`<iq type='error' id='r4'>${error('modify', 'bad-request')}</iq>`);
});

transcript('XEP-0077 §3.1: usernames that nobody gets', OPEN, async (cast) => {
  const client = await connected(cast);
  // Not a localpart; too long; Latin with a Cyrillic а; kept for the administrators, also in fullwidth letters.
  for (const username of [
    'a b',
    'a@b',
    'a/b',
    'a\u00a0b',
    'x'.repeat(65),
    'p\u0430ypal',
    'admin',
    'Postmaster',
    '\uff52\uff4f\uff4f\uff54',
  ]) {
    await client.sends(`<iq type='set' id='r2'>${fields(username, 'calliope the muse')}</iq>`);
    await client.receives(`<iq type='error' id='r2'>${NOT_ACCEPTABLE}</iq>`);
  }
});

transcript('XEP-0077 §3.1: passwords that are not taken', OPEN, async (cast) => {
  const client = await connected(cast);
  for (const password of ['short', 'Williamson', 'tab\tinside', 'x'.repeat(1_024)]) {
    await client.sends(`<iq type='set' id='r2'>${fields('williamson', password)}</iq>`);
    await client.receives(`<iq type='error' id='r2'>${NOT_ACCEPTABLE}</iq>`);
  }
});

transcript(
  'XEP-0077: the operator sets the rules',
  {
    ...OPEN,
    modules: { registration: { min_username: 3, max_username: 5, min_password: 1, reserved: ['paris'], instructions: 'Ask the prince.' } },
  },
  async (cast) => {
    const client = await connected(cast);
    await client.sends(`<iq type='get' id='r1'><query xmlns='${REGISTER}'/></iq>`);
    await client.receives(
      `<iq type='result' id='r1'><query xmlns='${REGISTER}' match:rest='ignore'><instructions>Ask the prince.</instructions></query></iq>`,
    );
    for (const username of ['ab', 'abcdef', 'paris']) {
      await client.sends(`<iq type='set' id='r2'>${fields(username, 'x')}</iq>`);
      await client.receives(`<iq type='error' id='r2'>${NOT_ACCEPTABLE}</iq>`);
    }
    await client.sends(`<iq type='set' id='r2'>${fields('admin', 'x')}</iq>`);
    await client.receives(`<iq type='result' id='r2'/>`);
  },
);

transcript(
  'XEP-0077 §3.1.1: an address that registers too often has to wait',
  { config: { accounts: { registration: 'open', registrationRate: { count: 2, windowMs: 60_000 } } } },
  async (cast) => {
    const client = await connected(cast);
    await client.sends(`<iq type='set' id='r1'>${fields('bill', 'calliope the muse')}</iq>`);
    await client.receives(`<iq type='result' id='r1'/>`);
    await client.sends(`<iq type='set' id='r2'>${fields('bill', 'calliope the muse')}</iq>`); // costs nothing: no account
    await client.receives(`<iq type='error' id='r2'>${error('cancel', 'conflict')}</iq>`);
    await client.sends(`<iq type='set' id='r3'>${fields('ben', 'calliope the muse')}</iq>`);
    await client.receives(`<iq type='result' id='r3'/>`);
    const other = await connected(cast); // another stream, the same address
    await other.sends(`<iq type='set' id='r4'>${fields('kit', 'calliope the muse')}</iq>`);
    await other.receives(`<iq type='error' id='r4'>${error('wait', 'resource-constraint')}</iq>`);
    await cast.advance(60_000);
    const later = await connected(cast);
    await later.sends(`<iq type='set' id='r5'>${fields('kit', 'calliope the muse')}</iq>`);
    await later.receives(`<iq type='result' id='r5'/>`);
  },
);

transcript('XEP-0077 §3.2: before login there is nothing to cancel', OPEN, async (cast) => {
  const client = await connected(cast);
  await client.sends(`<iq type='set' id='u1'><query xmlns='${REGISTER}'><remove/></query></iq>`);
  await client.receives(`<iq type='error' id='u1'>${error('wait', 'unexpected-request')}</iq>`);
});

transcript('XEP-0077 §3.1: who is registered is told so, but not his password', async ({ romeo }) => {
  for (const to of ['', `to='${romeo.domain}'`]) {
    await romeo.sends(`<iq type='get' id='r1' ${to}><query xmlns='${REGISTER}'/></iq>`);
    await romeo.receives(`
      <iq type='result' id='r1'>
        <query xmlns='${REGISTER}'><registered/><username>${romeo.local}</username><password/><instructions match:optional='true'>{any}</instructions></query>
      </iq>`);
  }
});

transcript('XEP-0077 §3.3: a password is changed, and the old one is of no use', async (cast) => {
  const { romeo } = cast;
  await romeo.sends(`<iq type='set' id='c1' to='${cast.domain}'>${fields(romeo.local, 'wherefore art thou')}</iq>`);
  await romeo.receives(`<iq type='result' id='c1'/>`);
  await romeo.receivesNothing();
  await (await cast.raw()).logsIn({ local: romeo.local, password: 'wherefore art thou' });
  const late = await cast.raw();
  await late.beginsStream();
  await late.sends(
    `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>${Buffer.from(`\0${romeo.local}\0${cast.passwordOf('romeo')}`).toString('base64')}</auth>`,
  );
  await late.receives(`<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{any}</failure>`);
  await romeo.sends(`<iq type='set' id='c2' to='${cast.domain}'>${fields(romeo.local, cast.passwordOf('romeo'))}</iq>`);
  await romeo.receives(`<iq type='result' id='c2'/>`);
});

transcript('XEP-0077 §3.3: other sessions end with a change of password', { onlyOurs: 'our choice' }, async (cast) => {
  const { romeo, phone } = cast;
  await phone.sync();
  await romeo.sends(`<iq type='set' id='c1'>${fields(romeo.local, 'wherefore art thou')}</iq>`);
  await romeo.receives(`<iq type='result' id='c1'/>`);
  await phone.isClosedWith('not-authorized');
});

transcript(
  'XEP-0077 §3.3: an incomplete request changes nothing',
  { differs: { prosody: 'says not-acceptable', ejabberd: 'says otherwise' } },
  async (cast) => {
    const { romeo } = cast;
    for (const content of [
      `<username>${romeo.local}</username>`,
      `<username>${romeo.local}</username><password/>`,
      '<password>wherefore art thou</password>',
      '',
    ]) {
      await romeo.sends(`<iq type='set' id='c1' to='${cast.domain}'><query xmlns='${REGISTER}'>${content}</query></iq>`);
      await romeo.receives(`<iq type='error' id='c1'>${error('modify', 'bad-request')}</iq>`);
    }
    await (await cast.raw()).logsIn({ local: romeo.local, password: cast.passwordOf('romeo') });
  },
);

transcript('XEP-0077 §3.3: nobody changes the password of another', { onlyOurs: 'others may register further accounts' }, async (cast) => {
  const { romeo, juliet } = cast;
  await juliet.sync();
  await romeo.sends(`<iq type='set' id='c1' to='${cast.domain}'>${fields(juliet.local, 'wherefore art thou')}</iq>`);
  await romeo.receives(`<iq type='error' id='c1'>${error('cancel', 'not-allowed')}</iq>`);
  await romeo.sends(`<iq type='set' id='c2' to='${juliet.bare}'>${fields(juliet.local, 'wherefore art thou')}</iq>`);
  await romeo.receives(`<iq type='error' id='c2'>${error('cancel', 'service-unavailable')}</iq>`);
  await (await cast.raw()).logsIn({ local: juliet.local, password: cast.passwordOf('juliet') });
});

transcript('XEP-0077 §3.3: a new password obeys the rules, too', { onlyOurs: 'our rules' }, async (cast) => {
  const { romeo } = cast;
  await romeo.sends(`<iq type='set' id='c1' to='${cast.domain}'>${fields(romeo.local, 'short')}</iq>`);
  await romeo.receives(`<iq type='error' id='c1'>${NOT_ACCEPTABLE}</iq>`);
});

transcript(
  'XEP-0077 §3.3, §3.2: where the operator forbids changes and removal',
  { modules: { registration: { password_change: false, removal: false } } },
  async (cast) => {
    const { romeo } = cast;
    await romeo.sends(`<iq type='set' id='c1' to='${cast.domain}'>${fields(romeo.local, 'wherefore art thou')}</iq>`);
    await romeo.receives(`<iq type='error' id='c1'>${error('cancel', 'not-allowed')}</iq>`);
    await romeo.sends(`<iq type='set' id='u1'><query xmlns='${REGISTER}'><remove/></query></iq>`);
    await romeo.receives(`<iq type='error' id='u1'>${error('cancel', 'not-allowed')}</iq>`);
  },
);

transcript(
  'XEP-0077 §3.2: an account is removed: all its sessions end, and nothing is left of it',
  { onlyOurs: 'others cannot be tidied up afterwards' },
  async (cast) => {
    const { romeo, phone, juliet } = cast;
    await phone.sync();
    await romeo.sends(`<iq type='set' id='u1'><query xmlns='${REGISTER}'><remove/></query></iq>`);
    await romeo.receives(`<iq type='result' id='u1'/>`);
    await romeo.isClosedWith('not-authorized');
    await phone.isClosedWith('not-authorized');
    await juliet.sends(`<message id='m1' to='${romeo.bare}'><body>Romeo?</body></message>`);
    await juliet.receives(`<message type='error' id='m1'>${error('cancel', 'service-unavailable')}</message>`);
    const late = await connected(cast);
    await late.sends(
      `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>${Buffer.from(`\0${romeo.local}\0${cast.passwordOf('romeo')}`).toString('base64')}</auth>`,
    );
    await late.receives(`<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>`);
  },
);

transcript(
  'XEP-0077 §3.2: nothing may stand beside <remove/>',
  { differs: { prosody: 'does not mind', ejabberd: 'does not mind' } },
  async (cast) => {
    const { romeo } = cast;
    await romeo.sends(`<iq type='set' id='u1'><query xmlns='${REGISTER}'><remove/><username>${romeo.local}</username></query></iq>`);
    await romeo.receives(`<iq type='error' id='u1'>${error('modify', 'bad-request')}</iq>`);
    await romeo.receivesNothing();
  },
);

transcript('XEP-0077 §3.2: nobody removes another', { onlyOurs: 'not worth the risk' }, async ({ romeo, juliet }) => {
  await romeo.sends(`<iq type='set' id='u1' to='${juliet.bare}'><query xmlns='${REGISTER}'><remove/></query></iq>`);
  await romeo.receives(`<iq type='error' id='u1'>${error('cancel', 'service-unavailable')}</iq>`);
  await juliet.receivesNothing();
});

transcript('XEP-0077 §10: disco announces it', async (cast) => {
  const { romeo } = cast;
  await romeo.sends(`<iq type='get' id='d1' to='${cast.domain}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`);
  await romeo.receives(
    `<iq type='result' id='d1'><query xmlns='http://jabber.org/protocol/disco#info' match:rest='ignore'><feature var='${REGISTER}'/></query></iq>`,
  );
});

test('registration is limited per address and per host, and the table of addresses is bounded', () => {
  const limiter = new RegistrationLimiter({ count: 2, windowMs: 1_000 }, { count: 3, windowMs: 1_000 });
  assert.deepEqual([limiter.take('a', 0), limiter.take('a', 0), limiter.take('a', 0)], [true, true, false]);
  assert.deepEqual([limiter.take('b', 0), limiter.take('b', 0)], [true, false], 'the host has had its three');
  limiter.giveBack('b');
  assert.ok(limiter.take('c', 0), 'what was given back is there for others');
  assert.deepEqual([limiter.take('a', 999), limiter.take('a', 1_000)], [false, true]);
  const tries = Array.from({ length: 21 }, () => limiter.mayTry('d', 0));
  assert.deepEqual([tries.filter(Boolean).length, tries.at(-1)], [20, false]);
  for (let i = 0; i < 20_000; i++) limiter.mayTry(`address ${i}`, 0);
  assert.equal(limiter.size, 10_000);
});
