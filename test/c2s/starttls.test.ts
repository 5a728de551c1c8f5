/** RFC 6120 §5: STARTTLS. */
import assert from 'node:assert/strict';
import { transcript } from '../harness/transcript.ts';
import { childElements, childOf } from '../harness/xml.ts';

const TLS = 'urn:ietf:params:xml:ns:xmpp-tls';
const SASL = 'urn:ietf:params:xml:ns:xmpp-sasl';
const REQUIRED = { config: { c2s: { isTlsRequired: true } } } as const;

transcript('RFC 6120 §5.3.1, §5.4.1: where TLS is required, nothing else is offered', REQUIRED, async (cast) => {
  const client = await cast.raw();
  const features = await client.beginsStream();
  assert.deepEqual(
    childElements(features).map(({ name }) => name),
    ['starttls'],
  );
  assert.ok(childOf(childOf(features, 'starttls', TLS)!, 'required', TLS));
});

transcript('RFC 6120 §5.4.3.3: after the handshake a new stream, now with SASL and without STARTTLS', REQUIRED, async (cast) => {
  const client = await cast.raw();
  await client.opensStream();
  const { id } = await client.receivesStream();
  await client.receivesFeatures();
  await client.startsTls();
  await client.opensStream();
  assert.notEqual((await client.receivesStream())['id'], id);
  const features = await client.receivesFeatures();
  assert.equal(childOf(features, 'starttls'), undefined); // §5.3.1
  const mechanisms = childElements(childOf(features, 'mechanisms', SASL)!).map(({ children }) => children[0]);
  assert.ok(mechanisms.includes('SCRAM-SHA-256-PLUS') && mechanisms.includes('SCRAM-SHA-256') && mechanisms.includes('PLAIN'));
});

transcript(
  'RFC 6120 §5.4: TLS by STARTTLS, then a login, on any server',
  { differs: { prosody: 'has no certificate here' } },
  async (cast) => {
    const { romeo } = cast;
    await romeo.sync();
    const client = await cast.raw();
    const features = await client.beginsStream();
    if (childOf(features, 'starttls', TLS) === undefined) return; // not every target offers it
    await client.startsTls();
    await client.logsIn({ local: romeo.local, password: cast.passwordOf('romeo') });
    await client.binds('secure');
  },
);

transcript('RFC 6120 §6.5.4: no login before TLS where TLS is required', REQUIRED, async (cast) => {
  const client = await cast.raw();
  await client.beginsStream();
  await client.sends(`<auth xmlns='${SASL}' mechanism='PLAIN'>AHJvbWVvAHg=</auth>`);
  await client.receives(`<failure xmlns='${SASL}'><encryption-required/></failure>`);
});

transcript(
  'XEP-0077 §12: no registration before TLS where TLS is required',
  { config: { c2s: { isTlsRequired: true }, accounts: { registration: 'open' } } },
  async (cast) => {
    const client = await cast.raw();
    assert.equal(childOf(await client.beginsStream(), 'register'), undefined);
    await client.sends(`<iq type='get' id='r1'><query xmlns='jabber:iq:register'/></iq>`);
    await client.isClosedWith('not-authorized');
  },
);

transcript(
  'CVE-2011-0411: what stands behind <starttls/> is not taken for protected',
  { onlyOurs: 'others drop it silently' },
  async (cast) => {
    for (const rest of [`<auth xmlns='${SASL}' mechanism='PLAIN'>AHJvbWVvAHg=</auth>`, '<a', `<?xml version='1.0'?>`]) {
      const client = await cast.raw();
      await client.beginsStream();
      client.write(`<starttls xmlns='${TLS}'/>${rest}`);
      await client.isClosedWith('policy-violation');
    }
  },
);

transcript(
  'RFC 6120 §5.4.2.2: STARTTLS under TLS fails, and ends the stream',
  { onlyOurs: 'others answer in other words' },
  async (cast) => {
    const client = await cast.raw();
    await client.beginsStream();
    await client.startsTls();
    await client.beginsStream();
    await client.sends(`<starttls xmlns='${TLS}'/>`);
    await client.receives(`<failure xmlns='${TLS}'/>`);
    await client.isClosed();
  },
);

transcript(
  'CVE-2018-10847: the host of a stream is fixed with its first header',
  { config: { domains: ['capulet.lit', 'montague.lit'] } },
  async (cast) => {
    const client = await cast.raw();
    await client.beginsStream();
    await client.startsTls();
    await client.opensStream({ to: 'montague.lit' });
    await client.isClosedWith('not-authorized');
  },
);

transcript('CVE-2018-10847: also after login', { config: { domains: ['capulet.lit', 'montague.lit'] } }, async (cast) => {
  const { romeo } = cast;
  await romeo.sync();
  const client = await cast.raw();
  await client.beginsStream();
  await client.sends(
    `<auth xmlns='${SASL}' mechanism='PLAIN'>${Buffer.from(`\0romeo\0${cast.passwordOf('romeo')}`).toString('base64')}</auth>`,
  );
  await client.receives(`<success xmlns='${SASL}'/>`);
  await client.opensStream({ to: 'montague.lit' });
  await client.isClosedWith('not-authorized');
});
