import assert from 'node:assert/strict';
import { transcript } from '../harness/transcript.ts';
import { ADMIN, fillsIn, goesOn, valuesOf } from './adhoc-scenes.ts';

const TWO_HOSTS = { config: { domains: ['capulet.lit', 'montague.lit'] } } as const;
const at = (word: string): string => `${ADMIN}#${word}`;

transcript(
  'XEP-0133 §4.23: an announcement to who is online, each session once',
  { differs: { ejabberd: 'asks for subject and body', prosody: 'sends it to accounts, not to sessions' } },
  async (cast) => {
    const { escalus, romeo, phone, benvolio } = cast;
    cast.offline('nurse');
    await romeo.becomesAvailable();
    await phone.becomesAvailable();
    await benvolio.sync(); // connected only
    await fillsIn(escalus, at('announce'), { subject: 'Verona', announcement: ['Rebellious subjects,', 'enemies to peace'] });
    const words = `<subject>Verona</subject><body>Rebellious subjects,\nenemies to peace</body>`;
    for (const client of [romeo, phone])
      await client.receives(`<message type='headline' from='${cast.domain}' to='${client.full}' id='{any}'>${words}</message>`);
    for (const client of [escalus, romeo, phone, benvolio]) await client.receivesNothing();
    const nurse = cast.client('nurse', { isOnline: false });
    await nurse.connects();
    await nurse.becomesAvailable();
    await nurse.receivesNothing();
  },
);

transcript(
  'an announcement to all waits for those who are away',
  { differs: { ejabberd: 'asks for subject and body', prosody: 'has no such command' } },
  async (cast) => {
    const { escalus, romeo } = cast;
    cast.offline('nurse');
    await romeo.becomesAvailable();
    await fillsIn(escalus, at('announce-all'), { announcement: 'A plague' });
    await romeo.receives(
      `<message type='normal' from='${cast.domain}' to='${romeo.bare}' id='{any}' match:rest='ignore'><body>A plague</body></message>`,
    );
    const nurse = cast.client('nurse', { isOnline: false });
    await nurse.connects();
    await nurse.becomesAvailable();
    await nurse.receives(`<message type='normal' from='${cast.domain}' id='{any}' match:rest='ignore'><body>A plague</body></message>`);
    await nurse.receivesNothing();
  },
);

transcript(
  'XEP-0133 §4.24: the message of the day, at once or with the next login, once per account',
  { differs: { ejabberd: 'asks for subject and body', prosody: 'has no such command' } },
  async (cast) => {
    const { escalus, romeo, phone } = cast;
    cast.offline('nurse');
    await romeo.becomesAvailable();
    await phone.sync();
    await fillsIn(escalus, at('set-motd'), { motd: 'The Globe is open' });
    const motd = (to: string) =>
      `<message type='normal' from='${cast.domain}' to='${to}' id='{any}' match:rest='ignore'><body>The Globe is open</body></message>`;
    await romeo.receives(motd(romeo.full));
    await phone.becomesAvailable(); // its account has got it
    await phone.receivesNothing();
    const nurse = cast.client('nurse', { isOnline: false });
    await nurse.connects();
    await nurse.sync();
    await nurse.receivesNothing();
    await nurse.becomesAvailable();
    await nurse.receives(motd(nurse.full));
    await nurse.disconnects();
    await nurse.connects();
    await nurse.becomesAvailable();
    await nurse.receivesNothing();
    await goesOn(escalus, { node: at('delete-motd') }); // for transcripts to come
  },
);

transcript(
  'XEP-0133 §4.24: who has got the message of the day is known after a restart, and so is the message',
  { differs: { ejabberd: 'asks for subject and body', prosody: 'has no such command' } },
  async (before) => {
    const { escalus, romeo } = before;
    before.offline('nurse');
    await romeo.becomesAvailable();
    await fillsIn(escalus, at('set-motd'), { motd: 'The Globe is open' });
    await romeo.takes('the message', ({ name }) => name === 'message');
    const after = await before.restarted();
    await after.romeo.becomesAvailable();
    await after.romeo.receivesNothing();
    const nurse = after.client('nurse', { isOnline: false });
    await nurse.connects();
    await nurse.becomesAvailable();
    await nurse.takes('the message', ({ name }) => name === 'message');
    await goesOn(after.escalus, { node: at('delete-motd') });
  },
);

transcript(
  'XEP-0133 §4.25, §4.26: it is changed for logins from now on, and removed',
  { differs: { ejabberd: 'asks for subject and body', prosody: 'has no such command' } },
  async (cast) => {
    const { escalus, romeo } = cast;
    await romeo.becomesAvailable();
    await fillsIn(escalus, at('set-motd'), { subject: 'News', motd: 'Grand opening tomorow' });
    await romeo.takes('the message', ({ name }) => name === 'message');
    const form = await goesOn(escalus, { node: at('edit-motd') });
    assert.deepEqual([valuesOf(form, 'subject'), valuesOf(form, 'motd')], [['News'], ['Grand opening tomorow']]);
    await goesOn(escalus, { node: at('edit-motd'), session: form.attrs['sessionid']!, fields: { motd: 'Grand opening tomorrow' } });
    await romeo.receivesNothing();
    await romeo.disconnects();
    await romeo.connects();
    await romeo.becomesAvailable();
    await romeo.receives(`<message type='normal' id='{any}' match:rest='ignore'><body>Grand opening tomorrow</body></message>`);
    await goesOn(escalus, { node: at('delete-motd') });
    const tybalt = cast.client('tybalt');
    await tybalt.becomesAvailable();
    await tybalt.receivesNothing();
  },
);

transcript(
  'XEP-0133 §4.27, §4.28: new accounts find a welcome with their first login',
  { differs: { ejabberd: 'has no such command', prosody: 'has no such command' } },
  async (cast) => {
    const { escalus } = cast;
    await fillsIn(escalus, at('set-welcome'), { welcome: ['Welcome to Verona,', 'where we lay our scene'] });
    const tybalt = cast.client('tybalt');
    await tybalt.becomesAvailable();
    await tybalt.receives(
      `<message type='normal' from='${cast.domain}' id='{any}' match:rest='ignore'><body>Welcome to Verona,\nwhere we lay our scene</body></message>`,
    );
    await tybalt.disconnects();
    await tybalt.connects();
    await tybalt.becomesAvailable();
    await tybalt.receivesNothing();
    await goesOn(escalus, { node: at('delete-welcome') });
    const paris = cast.client('paris');
    await paris.becomesAvailable();
    await paris.receivesNothing();
  },
);

transcript(
  'announcements by message, as with ejabberd and Openfire: for admins',
  { differs: { ejabberd: 'sends the message as it is, to all sessions as normal', prosody: 'knows announce/online alone' } },
  async (cast) => {
    const { escalus, romeo } = cast;
    await romeo.becomesAvailable();
    await escalus.sends(`<message to='${cast.domain}/announce/online' id='a'><subject>Hear</subject><body>ye</body></message>`);
    await romeo.receives(`<message type='headline' from='${cast.domain}' id='{any}'><subject>Hear</subject><body>ye</body></message>`);
    await escalus.sends(`<message to='${cast.domain}/announce/all'><body>all of ye</body></message>`);
    await romeo.receives(`<message type='normal' from='${cast.domain}' id='{any}' match:rest='ignore'><body>all of ye</body></message>`);
    await escalus.collects();
    await escalus.sends(`<message to='${cast.domain}/announce/motd'><body>today</body></message>`);
    await romeo.receives(`<message type='normal' from='${cast.domain}' id='{any}' match:rest='ignore'><body>today</body></message>`);
    await escalus.sends(`<message to='${cast.domain}/announce/motd/delete'/>`);
    await escalus.sync();
    assert.deepEqual(valuesOf(await goesOn(escalus, { node: at('edit-motd') }), 'motd'), []);
  },
);

transcript(
  'announcements by message: what is refused',
  { differs: { ejabberd: 'sends what has no body, too', prosody: 'answers service-unavailable to users' } },
  async (cast) => {
    const { escalus, romeo } = cast;
    await escalus.becomesAvailable();
    const error = (type: string, condition: string) =>
      `<error type='${type}'><${condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>{any}</error>`;
    for (const path of ['online', 'all', 'motd', 'motd/update', 'motd/delete', 'all-hosts/online']) {
      await romeo.sends(`<message to='${cast.domain}/announce/${path}' id='m'><body>Hear ye</body></message>`);
      await romeo.receives(
        `<message type='error' id='m'><error type='auth'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>`,
      );
    }
    await escalus.receivesNothing();
    await escalus.sends(`<message to='${cast.domain}/announce/online' id='m'><subject>Nothing</subject></message>`);
    await escalus.receives(`<message type='error' id='m'>${error('modify', 'bad-request')}</message>`);
    await escalus.sends(`<message to='${cast.domain}/announce/loud' id='m'><body>Hear ye</body></message>`);
    await escalus.receives(
      `<message type='error' id='m'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>`,
    );
  },
);

transcript('of several hosts, one is told or all', TWO_HOSTS, async (cast) => {
  const { escalus, romeo } = cast;
  await romeo.becomesAvailable();
  await cast.memory.run('announce online', { text: 'not for you', host: 'montague.lit' });
  await romeo.receivesNothing();
  await fillsIn(escalus, at('announce-allhosts'), { announcement: 'for all' });
  await romeo.receives(`<message type='headline' from='capulet.lit' id='{any}'><body>for all</body></message>`);
  await fillsIn(escalus, at('set-motd-allhosts'), { motd: 'both' });
  assert.deepEqual(await cast.memory.run('motd show', {}), [
    { host: 'capulet.lit', subject: '', text: 'both' },
    { host: 'montague.lit', subject: '', text: 'both' },
  ]);
  await cast.memory.run('motd delete', { host: 'montague.lit' });
  assert.equal(((await cast.memory.run('motd show', {})) as unknown[]).length, 1);
  await assert.rejects(cast.memory.run('motd set', { text: 'x', host: 'verona.lit' }), { code: 'ERR_HOST_UNKNOWN' });
});
