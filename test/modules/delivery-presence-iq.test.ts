/** RFC 6121 §8.5 for presence and IQ stanzas, and §8.4 for the server itself. */
import { transcript } from '../harness/transcript.ts';

const STANZAS = 'urn:ietf:params:xml:ns:xmpp-stanzas';
const SERVICE_UNAVAILABLE = `<error type='cancel'><service-unavailable xmlns='${STANZAS}'/></error>`;

transcript('RFC 6121 §8.5.1: an IQ request to an account that does not exist is refused', async (cast) => {
  const { romeo } = cast;
  for (const address of [`nobody@${cast.domain}`, `nobody@${cast.domain}/gone`]) {
    await romeo.sends(`<iq type='get' id='i1' to='${address}'><query xmlns='urn:example:unknown'/></iq>`);
    await romeo.receives(`<iq type='error' id='i1' from='${address}'>${SERVICE_UNAVAILABLE}</iq>`);
  }
});

transcript('RFC 6121 §8.5.1: an answer to an account that does not exist is dropped', async (cast) => {
  const { romeo } = cast;
  await romeo.sends(`<iq type='result' id='i1' to='nobody@${cast.domain}/gone'/>`);
  await romeo.sends(`<iq type='error' id='i2' to='nobody@${cast.domain}/gone'>${SERVICE_UNAVAILABLE}</iq>`);
  await romeo.receivesNothing();
});

transcript(
  'RFC 6121 §8.5.1: presence and subscription stanzas to an account that does not exist are dropped',
  { differs: { prosody: 'answers subscribe with unsubscribed', ejabberd: 'answers subscribe with an error' } },
  async (cast) => {
    const { romeo } = cast;
    await romeo.becomesAvailable();
    await romeo.sends(`<presence to='nobody@${cast.domain}/gone'/>`);
    await romeo.sends(`<presence to='nobody@${cast.domain}' type='subscribe'/>`);
    await romeo.receivesNothing();
  },
);

transcript('RFC 6121 §8.5.2.1.3: an IQ request to a bare JID is answered by the server, not passed on', async ({ romeo, juliet }) => {
  await juliet.becomesAvailable();
  await romeo.sends(`<iq type='get' id='i1' to='${juliet.bare}'><query xmlns='urn:example:unknown'/></iq>`);
  await romeo.receives(`<iq type='error' id='i1' from='${juliet.bare}'>${SERVICE_UNAVAILABLE}</iq>`);
  await juliet.receivesNothing();
});

transcript('RFC 6121 §8.5.2.1.3: an answer to a bare JID is dropped', async ({ romeo, juliet }) => {
  await juliet.becomesAvailable();
  await romeo.sends(`<iq type='result' id='i1' to='${juliet.bare}'/>`);
  await romeo.sends(`<iq type='error' id='i2' to='${juliet.bare}'>${SERVICE_UNAVAILABLE}</iq>`);
  await romeo.receivesNothing();
  await juliet.receivesNothing();
});

transcript('RFC 6121 §8.5.3.1: IQ requests and answers to a full JID reach exactly that resource', async ({ romeo, juliet, chamber }) => {
  await juliet.becomesAvailable();
  await chamber.becomesAvailable();
  await romeo.sends(`<iq type='set' id='i1' to='${chamber.full}'><query xmlns='urn:example:game'><move/></query></iq>`);
  await chamber.receives(
    `<iq type='set' id='i1' from='${romeo.full}' to='${chamber.full}'><query xmlns='urn:example:game'><move/></query></iq>`,
  );
  await chamber.sends(`<iq type='result' id='i1' to='${romeo.full}'/>`);
  await romeo.receives(`<iq type='result' id='i1' from='${chamber.full}' to='${romeo.full}'/>`);
  await chamber.sends(`<iq type='error' id='i1' to='${romeo.full}'><error type='modify'><not-acceptable xmlns='${STANZAS}'/></error></iq>`);
  await romeo.receives(
    `<iq type='error' id='i1' from='${chamber.full}'><error type='modify'><not-acceptable xmlns='${STANZAS}'/></error></iq>`,
  );
  await juliet.receivesNothing();
});

transcript('RFC 6121 §8.5.3.2.3: an IQ request to a resource that is gone is refused, an answer dropped', async ({ romeo, juliet }) => {
  await juliet.becomesAvailable();
  await romeo.sends(`<iq type='get' id='i1' to='${juliet.bare}/gone'><query xmlns='urn:example:unknown'/></iq>`);
  await romeo.receives(`<iq type='error' id='i1' from='${juliet.bare}/gone'>${SERVICE_UNAVAILABLE}</iq>`);
  await romeo.sends(`<iq type='result' id='i2' to='${juliet.bare}/gone'/>`);
  await romeo.receivesNothing();
  await juliet.receivesNothing();
});

transcript(
  'RFC 6121 §8.5.2.1.2: presence to a bare JID reaches all available resources, of whatever priority',
  async ({ romeo, juliet, chamber, balcony }) => {
    await juliet.becomesAvailable(1);
    await chamber.becomesAvailable(-1);
    await balcony.sync(); // connected only
    await romeo.sends(`<presence to='${juliet.bare}'><show>chat</show></presence>`);
    for (const each of [juliet, chamber]) await each.receives(`<presence from='${romeo.full}'><show>chat</show></presence>`);
    await balcony.receivesNothing();
    await romeo.sends(`<presence type='unavailable' to='${juliet.bare}'/>`);
    for (const each of [juliet, chamber]) await each.receives(`<presence type='unavailable' from='${romeo.full}'/>`);
    await balcony.receivesNothing();
  },
);

transcript('RFC 6121 §8.5.3.1: presence to a full JID reaches that resource', async ({ romeo, juliet, chamber }) => {
  await juliet.becomesAvailable();
  await chamber.becomesAvailable();
  await romeo.sends(`<presence to='${chamber.full}'/>`);
  await chamber.receives(`<presence from='${romeo.full}' to='${chamber.full}'/>`);
  await juliet.receivesNothing();
});

transcript('RFC 6121 §8.5.3.2.2: presence to a resource that is gone, or to an account that is offline, is dropped', async (cast) => {
  const { romeo, juliet } = cast;
  const nurse = cast.offline('nurse');
  await juliet.becomesAvailable();
  await romeo.sends(`<presence to='${juliet.bare}/gone'/>`);
  await romeo.sends(`<presence to='${nurse.bare}'/>`);
  await romeo.receivesNothing();
  await juliet.receivesNothing();
});

transcript('RFC 6121 §8.4, RFC 6120 §10.5.2: an IQ request the server does not know is refused', async (cast) => {
  const { romeo } = cast;
  await romeo.sends(`<iq type='get' id='i1' to='${cast.domain}'><query xmlns='urn:example:unknown'/></iq>`);
  await romeo.receives(`<iq type='error' id='i1' from='${cast.domain}'>${SERVICE_UNAVAILABLE}</iq>`);
});

transcript(
  'RFC 6120 §10.5.2: an IQ request to a resource of the server is refused',
  { differs: { prosody: 'does not look at resources of hosts', ejabberd: 'answers item-not-found' } },
  async (cast) => {
    const { romeo } = cast;
    await romeo.sends(`<iq type='get' id='i1' to='${cast.domain}/room'><ping xmlns='urn:xmpp:ping'/></iq>`);
    await romeo.receives(`<iq type='error' id='i1' from='${cast.domain}/room'>${SERVICE_UNAVAILABLE}</iq>`);
  },
);

transcript('RFC 6121 §8.4: a message to the server itself is not lost silently', { differs: { ejabberd: 'drops it' } }, async (cast) => {
  const { romeo } = cast;
  await romeo.sends(`<message id='m1' to='${cast.domain}'><body>Anybody there?</body></message>`);
  await romeo.receives(`<message type='error' id='m1' from='${cast.domain}'>${SERVICE_UNAVAILABLE}</message>`);
});

transcript('RFC 6120 §10.3.1: a message without address goes to the own account', async ({ romeo, phone }) => {
  await romeo.becomesAvailable(1);
  await phone.becomesAvailable(1);
  await romeo.sends(`<message type='chat' id='m1'><body>Note to myself</body></message>`);
  await romeo.receives(`<message type='chat' id='m1' from='${romeo.full}'><body>Note to myself</body></message>`);
  await phone.receives(`<message type='chat' id='m1' from='${romeo.full}'><body>Note to myself</body></message>`);
});

transcript('RFC 6120 §10.3.3: an IQ without address is answered for the own account', async ({ romeo }) => {
  await romeo.sends(`<iq type='get' id='i1'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>`);
  await romeo.receives(
    `<iq type='result' id='i1' from='${romeo.bare}'><query xmlns='http://jabber.org/protocol/disco#items'>{any}</query></iq>`,
  );
  await romeo.sends(`<iq type='get' id='i2'><query xmlns='urn:example:unknown'/></iq>`);
  await romeo.receives(`<iq type='error' id='i2'>${SERVICE_UNAVAILABLE}</iq>`);
});

transcript(
  'RFC 6120 §10.4.2: a stanza to a domain that cannot be reached comes back',
  { onlyOurs: 'others try to connect' },
  async ({ romeo }) => {
    await romeo.sends(`<message id='m1' to='benvolio@montague.example'><body>Good morrow, cousin</body></message>`);
    await romeo.receives(
      `<message type='error' id='m1' from='benvolio@montague.example'><error type='cancel'><remote-server-not-found xmlns='${STANZAS}'/></error></message>`,
    );
    await romeo.sends(`<iq type='get' id='i1' to='montague.example'><ping xmlns='urn:xmpp:ping'/></iq>`);
    await romeo.receives(
      `<iq type='error' id='i1' from='montague.example'><error type='cancel'><remote-server-not-found xmlns='${STANZAS}'/></error></iq>`,
    );
  },
);

transcript('RFC 6120 §10.1: messages to one recipient keep their order', async ({ romeo, juliet }) => {
  for (let i = 0; i < 50; i++) await romeo.sends(`<message type='chat' id='m${i}' to='${juliet.full}'><body>${i}</body></message>`);
  for (let i = 0; i < 50; i++) await juliet.receives(`<message type='chat' id='m${i}'><body>${i}</body></message>`);
});
