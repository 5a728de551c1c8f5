/** RFC 6121 §2.6 and XEP-0237: clients that know an older version get what has changed. */
import assert from 'node:assert/strict';
import { childOf } from '../harness/xml.ts';
import type { Client } from '../harness/cast.ts';
import { befriends, push, rosterOf, scene, verOf } from './roster-scenes.ts';

const FULL = 'what a server without real deltas sends is the whole roster';

async function adds(client: Client, ...names: string[]): Promise<void> {
  for (const name of names) {
    await client.sends(`<iq type='set' id='add-${name}'><query xmlns='jabber:iq:roster'><item jid='${name}@capulet.lit'/></query></iq>`);
    await client.takes('the result', ({ attrs }) => attrs['id'] === `add-${name}`);
  }
}

/** The whole roster; returns its version. */
async function currentVer(client: Client): Promise<string> {
  await client.sends(`<iq type='get' id='current'><query xmlns='jabber:iq:roster' ver=''/></iq>`);
  return verOf(await client.takes('the roster', ({ attrs }) => attrs['id'] === 'current'));
}

scene('RFC 6121 §2.6.1: the stream feature is offered after login', async (cast) => {
  const { romeo } = cast;
  await romeo.sync();
  const stream = await cast.raw();
  const features = await stream.logsIn({ local: romeo.local, password: cast.passwordOf('romeo') });
  assert.ok(childOf(features, 'ver', 'urn:xmpp:features:rosterver'));
});

scene('RFC 6121 §2.6.2: the empty version gets the whole roster with its version', async ({ romeo }) => {
  await adds(romeo, 'nurse');
  await romeo.sends(`<iq type='get' id='r1'><query xmlns='jabber:iq:roster' ver=''/></iq>`);
  await romeo.receives(
    `<iq type='result' id='r1'><query xmlns='jabber:iq:roster' ver='{id}'><item jid='nurse@capulet.lit' subscription='none'/></query></iq>`,
  );
});

scene('RFC 6121 §2.6.3: the current version gets an empty result, and pushes from then on', async ({ romeo, phone }) => {
  await adds(romeo, 'nurse');
  const ver = await currentVer(romeo);
  await phone.sends(`<iq type='get' id='r1'><query xmlns='jabber:iq:roster' ver='${ver}'/></iq>`);
  await phone.receives(`<iq type='result' id='r1' to='${phone.full}'/>`);
  await phone.receivesNothing();
  await adds(romeo, 'peter');
  const pushed = await phone.receives(push(`<item jid='peter@capulet.lit' subscription='none'/>`));
  assert.notEqual(verOf(pushed), ver);
});

scene(
  'RFC 6121 §2.6.3: an older version gets an empty result, then each item that changed, once and as it is now',
  { onlyOurs: FULL },
  async ({ romeo, phone }) => {
    await adds(romeo, 'nurse', 'peter', 'sampson', 'gregory');
    const ver = await currentVer(romeo);
    await romeo.sends(`<iq type='set' id='s1'><query xmlns='jabber:iq:roster'><item jid='peter@capulet.lit' name='P'/></query></iq>`);
    await romeo.sends(
      `<iq type='set' id='s2'><query xmlns='jabber:iq:roster'><item jid='sampson@capulet.lit' subscription='remove'/></query></iq>`,
    );
    await romeo.sends(
      `<iq type='set' id='s3'><query xmlns='jabber:iq:roster'><item jid='peter@capulet.lit' name='Peter'><group>Servants</group></item></query></iq>`,
    );
    await romeo.sync();

    await phone.sends(`<iq type='get' id='r1'><query xmlns='jabber:iq:roster' ver='${ver}'/></iq>`);
    await phone.receives(`<iq type='result' id='r1'/>`);
    const first = await phone.receives(push(`<item jid='sampson@capulet.lit' subscription='remove'/>`));
    const second = await phone.receives(
      push(`<item jid='peter@capulet.lit' name='Peter' subscription='none'><group>Servants</group></item>`),
    );
    await phone.receivesNothing();
    assert.equal(new Set([ver, verOf(first), verOf(second)]).size, 3);
    assert.equal(verOf(second), await currentVer(romeo));
  },
);

scene(
  'XEP-0237 §3: a client that was cut off in the middle goes on from the last push it got',
  { onlyOurs: FULL },
  async ({ romeo, phone, tablet }) => {
    await adds(romeo, 'nurse', 'peter', 'sampson');
    const ver = await currentVer(romeo);
    await adds(romeo, 'gregory', 'anthony');
    await phone.sends(`<iq type='get' id='r1'><query xmlns='jabber:iq:roster' ver='${ver}'/></iq>`);
    await phone.receives(`<iq type='result' id='r1'/>`);
    const first = await phone.receives(push(`<item jid='gregory@capulet.lit' subscription='none'/>`));
    await tablet.sends(`<iq type='get' id='r2'><query xmlns='jabber:iq:roster' ver='${verOf(first)}'/></iq>`);
    await tablet.receives(`<iq type='result' id='r2'/>`);
    await tablet.receives(push(`<item jid='anthony@capulet.lit' subscription='none'/>`));
    await tablet.receivesNothing();
  },
);

scene('RFC 6121 §2.6.3: a version the server does not know gets the whole roster', async ({ romeo }) => {
  await adds(romeo, 'nurse');
  for (const [i, ver] of ['ver14', '-1', 'zzzzzzzzzzzz', '&lt;&apos;'].entries()) {
    await romeo.sends(`<iq type='get' id='r${i}'><query xmlns='jabber:iq:roster' ver='${ver}'/></iq>`);
    await romeo.takes('the whole roster', (element) => element.attrs['id'] === `r${i}` && childOf(element, 'query') !== undefined);
  }
});

scene(
  'RFC 6121 §2.6.3: a change of subscription is a modification, a request to the user is none',
  { onlyOurs: FULL },
  async ({ romeo, juliet, nurse, phone }) => {
    await befriends(romeo, juliet);
    await adds(romeo, 'peter', 'sampson');
    const ver = await currentVer(romeo);
    await nurse.sends(`<presence type='subscribe' to='${romeo.bare}'/>`);
    await nurse.sync();
    assert.equal(await currentVer(romeo), ver);
    await juliet.sends(`<presence type='unsubscribed' to='${romeo.bare}'/>`);
    await juliet.sync();
    await phone.sends(`<iq type='get' id='r1'><query xmlns='jabber:iq:roster' ver='${ver}'/></iq>`);
    await phone.receives(`<iq type='result' id='r1'/>`);
    await phone.receives(push(`<item jid='${juliet.bare}' subscription='from'/>`));
    await phone.receivesNothing();
  },
);

scene('the log of changes survives while the account is not in memory', { onlyOurs: FULL }, async (cast) => {
  const { romeo } = cast;
  await adds(romeo, 'nurse', 'peter');
  const ver = await currentVer(romeo);
  await adds(romeo, 'sampson');
  await romeo.disconnects();
  await cast.advance(10 * 60_000);
  await romeo.connects();
  await romeo.sends(`<iq type='get' id='r1'><query xmlns='jabber:iq:roster' ver='${ver}'/></iq>`);
  await romeo.receives(`<iq type='result' id='r1'/>`);
  await romeo.receives(push(`<item jid='sampson@capulet.lit' subscription='none'/>`));
  assert.deepEqual(await rosterOf(romeo), ['nurse@capulet.lit none', 'peter@capulet.lit none', 'sampson@capulet.lit none']);
});
