import assert from 'node:assert/strict';
import type { CastOfClients, Client } from '../harness/cast.ts';
import type { StreamClient } from '../harness/stream-client.ts';
import { transcript } from '../harness/transcript.ts';
import { printXml } from '../harness/xml.ts';

const NS = 'urn:xmpp:carbons:2';
const HINTS = 'urn:xmpp:hints';
const MUC_USER = 'http://jabber.org/protocol/muc#user';
const STATES = 'http://jabber.org/protocol/chatstates';
const NOT_ALLOWED = `<error type='cancel'><not-allowed xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`;
const SERVICE_UNAVAILABLE = `<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`;
/** What ejabberd does where clients without presence are to get copies. */
const AVAILABLE = 'copies to available resources only';
const ORDER = 'elsewhere, what two clients send at once has no order';
/** What Prosody does, as older versions of §9 said. */
const REMOVED = 'takes <private/> out';
/** Where there is an archive. */
const ID = `<stanza-id xmlns='urn:xmpp:sid:0' id='{any}' by='{any}' match:optional='true'/>`;

let requests = 0;

async function turns(client: Client, what: 'enable' | 'disable'): Promise<void> {
  const id = `carbons${++requests}`;
  await client.sends(`<iq type='set' id='${id}'><${what} xmlns='${NS}'/></iq>`);
  await client.receives(`<iq type='result' id='${id}' from='{any}'/>`);
}

async function enables(...clients: readonly Client[]): Promise<void> {
  for (const client of clients) await turns(client, 'enable');
}

interface Message {
  readonly from: Client | string;
  readonly to: Client | string;
  readonly type?: string;
  readonly id?: string;
  readonly content: string;
}

const address = (of: Client | string): string => (typeof of === 'string' ? of : of.full);
const body = (text: string): string => `<body>${text}</body>`;

function xml({ from, to, type = 'chat', id = 'm1', content }: Message, ns = ''): string {
  return `<message${ns} type='${type}' id='${id}' from='${address(from)}' to='${address(to)}'>${content}${ns === '' ? '' : ID}</message>`;
}

/** What `client` gets of a message another client of its account has sent or received. */
function copy(direction: 'sent' | 'received', client: Client, message: Message): string {
  return `
    <message type='${message.type ?? 'chat'}' from='${client.bare}' to='${client.full}'>
      <${direction} xmlns='${NS}'><forwarded xmlns='urn:xmpp:forward:0'>${xml(message, " xmlns='jabber:client'")}</forwarded></${direction}>
    </message>`;
}

const plain = (message: Message): string => xml({ ...message, content: message.content + ID });

const SERVER = 'says so of the server, not of accounts';

transcript('XEP-0280 §3: disco announces it, with the rules', { differs: { prosody: SERVER, ejabberd: SERVER } }, async (cast) => {
  const { romeo } = cast;
  for (const to of [cast.domain, romeo.bare]) {
    await romeo.sends(`<iq type='get' id='d1' to='${to}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`);
    await romeo.receives(
      `<iq type='result' id='d1'><query xmlns='http://jabber.org/protocol/disco#info' match:rest='ignore'><feature var='${NS}'/><feature var='urn:xmpp:carbons:rules:0'/></query></iq>`,
    );
  }
});

transcript(
  'XEP-0280 §8: whoever enabled carbons gets what the others send, the sender does not',
  { differs: { ejabberd: AVAILABLE } },
  async ({ romeo, phone, tablet, juliet }) => {
    await enables(phone, romeo);
    const message = { from: romeo, to: juliet, content: body('Wherefore?') };
    await romeo.sends(xml(message));
    await juliet.receives(plain(message));
    await phone.receives(copy('sent', phone, message));
    await romeo.receivesNothing();
    await tablet.receivesNothing();
  },
);

transcript(
  'XEP-0280 §8: irrespective of whether the sender enabled carbons',
  { differs: { ejabberd: AVAILABLE } },
  async ({ romeo, phone, juliet }) => {
    await enables(phone);
    const message = { from: romeo, to: juliet.bare, content: body('Wherefore?') };
    await juliet.becomesAvailable();
    await romeo.sends(xml(message));
    await phone.receives(copy('sent', phone, message));
  },
);

transcript(
  'XEP-0280 §7: and what they receive under their full JID',
  { differs: { ejabberd: AVAILABLE } },
  async ({ romeo, juliet, chamber, balcony }) => {
    await enables(chamber, juliet);
    const message = { from: romeo, to: juliet, content: `${body('Wherefore?')}<thread>t1</thread>` };
    await romeo.sends(xml(message));
    await juliet.receives(plain(message));
    await chamber.receives(copy('received', chamber, message));
    await juliet.receivesNothing();
    await balcony.receivesNothing();
    await romeo.receivesNothing();
  },
);

transcript(
  'XEP-0280 §7: of a message to the bare JID only those get a copy who did not get the message itself, e.g. for their negative priority',
  { differs: { ejabberd: AVAILABLE } },
  async ({ romeo, juliet, chamber, balcony }) => {
    await enables(juliet, chamber, balcony);
    await juliet.becomesAvailable();
    await chamber.becomesAvailable(-1);
    const message = { from: romeo, to: juliet.bare, content: body('Wherefore?') };
    await romeo.sends(xml(message));
    await juliet.receives(plain(message));
    await chamber.receives(copy('received', chamber, message));
    await balcony.receives(copy('received', balcony, message)); // connected without presence
    for (const client of [juliet, chamber, balcony]) await client.receivesNothing();
  },
);

transcript('XEP-0280 §7: several that get the message itself get no copies', async ({ romeo, juliet, chamber }) => {
  await enables(juliet, chamber);
  for (const client of [juliet, chamber]) await client.becomesAvailable();
  await juliet.collects();
  const message = { from: romeo, to: juliet.bare, content: body('Wherefore?') };
  await romeo.sends(xml(message));
  for (const client of [juliet, chamber]) {
    await client.receives(plain(message));
    await client.receivesNothing();
  }
});

transcript(
  'XEP-0280 §7: a full JID that is gone makes it a message to the bare JID; the copies follow it',
  { differs: { ejabberd: 'puts in the address of the resource that gets it' } },
  async ({ romeo, juliet, chamber }) => {
    await enables(chamber);
    await juliet.becomesAvailable();
    const message = { from: romeo, to: `${juliet.bare}/gone`, content: body('Wherefore?') };
    await romeo.sends(xml(message));
    await juliet.receives(plain(message));
    await chamber.receives(copy('received', chamber, message));
  },
);

transcript('XEP-0280 §5: disabled, there are none', async ({ romeo, juliet, chamber }) => {
  await enables(chamber);
  await turns(chamber, 'disable');
  const message = { from: romeo, to: juliet, content: body('Wherefore?') };
  await romeo.sends(xml(message));
  await juliet.receives(plain(message));
  await chamber.receivesNothing();
});

transcript('XEP-0280 §10.1: both may be said again and again', { differs: { ejabberd: AVAILABLE } }, async ({ romeo, juliet, chamber }) => {
  for (const what of ['disable', 'enable', 'enable', 'disable', 'disable', 'enable'] as const) await turns(chamber, what);
  const message = { from: romeo, to: juliet, content: body('Wherefore?') };
  await romeo.sends(xml(message));
  await chamber.receives(copy('received', chamber, message));
  await chamber.receivesNothing(); // one copy
});

transcript(
  'XEP-0280 §4.1, §5.1: nobody else may, whether the account exists or not',
  { onlyOurs: 'others answer in other words' },
  async (cast) => {
    const { romeo, juliet } = cast;
    for (const to of [juliet.bare, `nobody@${cast.domain}`]) {
      for (const what of ['enable', 'disable']) {
        await romeo.sends(`<iq type='set' id='c1' to='${to}'><${what} xmlns='${NS}'/></iq>`);
        await romeo.receives(`<iq type='error' id='c1' from='${to}'>${NOT_ALLOWED}</iq>`);
      }
    }
  },
);

transcript('XEP-0280 §4: a new session of the same resource starts without', async ({ romeo, juliet, chamber }) => {
  await enables(chamber);
  await chamber.disconnects();
  await chamber.connects();
  await romeo.sends(xml({ from: romeo, to: juliet, content: body('Wherefore?') }));
  await chamber.receivesNothing();
});

const ELIGIBLE: readonly (readonly [string, string, string])[] = [
  ['chat without a body', 'chat', `<x xmlns='urn:example:x'/>`],
  ['chat with a chat state alone', 'chat', `<composing xmlns='${STATES}'/>`],
  ['normal with a body', 'normal', body('Wherefore?')],
  ['a receipt', 'normal', `<received xmlns='urn:xmpp:receipts' id='m0'/>`],
  ['a chat marker', 'normal', `<displayed xmlns='urn:xmpp:chat-markers:0' id='m0'/>`],
  ['a chat state of type normal', 'normal', `<active xmlns='${STATES}'/>`],
  ['a chat state of type headline', 'headline', `<active xmlns='${STATES}'/>`],
  ['a direct invitation', 'normal', `<x xmlns='jabber:x:conference' jid='room@rooms.example'/>`],
  ['a mediated invitation', 'normal', `<x xmlns='${MUC_USER}'><invite from='a@example'/></x>`],
];

for (const [what, type, content] of ELIGIBLE) {
  const differs = {
    ejabberd: AVAILABLE,
    ...(type === 'chat' || content.startsWith('<body>') ? {} : { prosody: 'copies type chat, and of type normal what has a body' }),
  };
  transcript(`XEP-0280 §6.1: copies of ${what}`, { differs }, async ({ romeo, phone, juliet, chamber }) => {
    await enables(phone, chamber);
    const message = { from: romeo, to: juliet, type, content };
    await romeo.sends(xml(message));
    await juliet.receives(plain(message));
    await phone.receives(copy('sent', phone, message));
    await chamber.receives(copy('received', chamber, message));
  });
}

const NOT_ELIGIBLE: readonly (readonly [string, string, string])[] = [
  ['normal without a body', 'normal', `<x xmlns='urn:example:x'/>`],
  ['a body of another namespace', 'normal', `<body xmlns='http://www.w3.org/1999/xhtml'/>`],
  ['a headline', 'headline', body('News')],
  ['an error that answers nothing', 'error', SERVICE_UNAVAILABLE],
  ['groupchat', 'groupchat', body('Hear, hear')],
  ['groupchat with a chat state', 'groupchat', `${body('Hear, hear')}<active xmlns='${STATES}'/>`],
  ['chat that is private', 'chat', `${body('Psst')}<private xmlns='${NS}'/><no-copy xmlns='${HINTS}'/>`],
  ['chat that is private, without the hint', 'chat', `${body('Psst')}<private xmlns='${NS}'/>`],
  ['chat not to be copied', 'chat', `${body('Psst')}<no-copy xmlns='${HINTS}'/>`],
];

for (const [what, type, content] of NOT_ELIGIBLE) {
  const differs = content.includes('<private') ? { prosody: REMOVED } : {};
  transcript(
    `XEP-0280 §6.1, §9: no copies of ${what}; it arrives as it was sent`,
    { differs },
    async ({ romeo, phone, juliet, chamber }) => {
      await enables(phone, chamber);
      const message = { from: romeo, to: juliet, type, content };
      await romeo.sends(xml(message));
      await juliet.receives(plain(message));
      for (const client of [phone, chamber]) await client.receivesNothing();
    },
  );
}

transcript(
  'XEP-0280 §9: to the bare JID a private message goes to all that RFC 6121 names',
  { differs: { prosody: REMOVED } },
  async ({ romeo, juliet, chamber }) => {
    for (const client of [juliet, chamber]) await client.becomesAvailable();
    await juliet.collects();
    const message = { from: romeo, to: juliet.bare, content: `${body('Psst')}<private xmlns='${NS}'/>` };
    await romeo.sends(xml(message));
    for (const client of [juliet, chamber]) await client.receives(plain(message));
  },
);

transcript(
  'XEP-0280 §6.1: an error that answers a copied message is copied to the same clients',
  { differs: { prosody: 'copies errors from bare JIDs only', ejabberd: AVAILABLE } },
  async ({ romeo, phone, juliet, chamber }) => {
    await enables(phone, chamber);
    const message = { from: romeo, to: juliet, id: 'm7', content: body('Wherefore?') };
    await romeo.sends(xml(message));
    await juliet.receives(plain(message));
    await phone.receives(copy('sent', phone, message));
    await chamber.receives(copy('received', chamber, message));
    const error = { from: juliet, to: romeo, id: 'm7', type: 'error', content: SERVICE_UNAVAILABLE };
    await juliet.sends(xml(error));
    await romeo.receives(xml(error));
    await phone.receives(copy('received', phone, error));
    await chamber.receives(copy('sent', chamber, error));
    await juliet.sends(xml({ ...error, id: 'm8' })); // answers nothing
    await romeo.receives(xml({ ...error, id: 'm8' }));
    for (const client of [phone, chamber]) await client.receivesNothing();
  },
);

transcript(
  'XEP-0280 §6.1: also where the server refuses',
  { differs: { prosody: 'copies no errors of its own', ejabberd: AVAILABLE } },
  async (cast) => {
    const { romeo, phone } = cast;
    await enables(phone);
    const message = { from: romeo, to: `nobody@${cast.domain}`, content: body('Wherefore?') };
    await romeo.sends(xml(message));
    const error = { from: message.to, to: romeo, type: 'error', content: SERVICE_UNAVAILABLE };
    await romeo.receives(xml(error));
    await phone.receives(copy('sent', phone, message));
    await phone.receives(copy('received', phone, error));
  },
);

transcript('XEP-0280 §6.1: what an occupant of a room says in private is the room’s to copy', async ({ romeo, juliet, chamber }) => {
  await enables(chamber);
  const message = { from: romeo, to: juliet, content: `${body('Psst')}<x xmlns='${MUC_USER}'/>` };
  await romeo.sends(xml(message));
  await juliet.receives(plain(message));
  await chamber.receivesNothing();
});

transcript(
  'XEP-0280 §6.1: what is said to an occupant is copied to clients that are in the room under the same nick',
  { differs: { prosody: 'takes it for what the occupant says', ejabberd: AVAILABLE } },
  async ({ romeo, phone, tablet, juliet }) => {
    await enables(phone, tablet);
    // A contact stands in for the room: the resource is the nick.
    await romeo.sends(`<presence to='${juliet.bare}/nick'/>`);
    await phone.sends(`<presence to='${juliet.bare}/nick'/>`);
    await tablet.sends(`<presence to='${juliet.bare}/other'/>`);
    for (const client of [romeo, phone, tablet]) await client.sync();
    const message = { from: romeo, to: juliet, content: `${body('Psst')}<x xmlns='${MUC_USER}'/>` };
    await romeo.sends(xml(message));
    await phone.receives(copy('sent', phone, message));
    await tablet.receivesNothing();
  },
);

transcript(
  'XEP-0280 §7, §8: of a message to another client of oneself the third gets one copy, the sender none',
  { differs: { prosody: 'copies it twice, also to both of them', ejabberd: AVAILABLE } },
  async (cast) => {
    const { romeo, phone, tablet } = cast;
    await enables(romeo, phone, tablet);
    const message = { from: romeo, to: phone, content: body('Note to self') };
    await romeo.sends(xml(message));
    await phone.receives(plain(message));
    await tablet.receives(copy('received', tablet, message));
    for (const client of [romeo, phone, tablet]) await client.receivesNothing();
  },
);

transcript(
  'XEP-0280 §10.3: an error that answers a copy goes to nobody',
  { differs: { ejabberd: AVAILABLE } },
  async ({ romeo, phone, juliet }) => {
    await enables(phone);
    const message = { from: romeo, to: juliet, content: body('Wherefore?') };
    await romeo.sends(xml(message));
    await juliet.receives(plain(message));
    await phone.receives(copy('sent', phone, message));
    await phone.sends(`<message type='error' id='m1' to='${romeo.bare}'>${SERVICE_UNAVAILABLE}</message>`);
    for (const client of [romeo, phone, juliet]) await client.receivesNothing();
  },
);

transcript(
  'XEP-0280 §2: a client that is not spoken to sees both sides of a conversation, in order',
  { onlyOurs: ORDER },
  async ({ romeo, juliet, chamber }) => {
    await enables(chamber);
    for (let i = 0; i < 3; i++) {
      await romeo.sends(xml({ from: romeo, to: juliet, id: `q${i}`, content: body(`Q${i}`) }));
      await juliet.sends(xml({ from: juliet, to: romeo, id: `a${i}`, content: body(`A${i}`) }));
    }
    for (let i = 0; i < 3; i++) {
      await chamber.receives(copy('received', chamber, { from: romeo, to: juliet, id: `q${i}`, content: body(`Q${i}`) }));
      await chamber.receives(copy('sent', chamber, { from: juliet, to: romeo, id: `a${i}`, content: body(`A${i}`) }));
    }
  },
);

const SM = 'urn:xmpp:sm:3';

/** A further client of Romeo’s that can resume. The stanzas it has got so far are counted by `h`. */
async function watcher(cast: CastOfClients): Promise<StreamClient> {
  const { romeo } = cast;
  const watch = await cast.raw('watch');
  await watch.logsIn({ local: romeo.local, password: cast.passwordOf('romeo') });
  await watch.binds('watch');
  await watch.sends(`<iq type='set' id='c1'><enable xmlns='${NS}'/></iq>`);
  await watch.receives(`<iq type='result' id='c1'/>`);
  await watch.sends(`<enable xmlns='${SM}' resume='true'/>`);
  await watch.receives(`<enabled xmlns='${SM}' id='{token}' resume='true' max='{any}'/>`);
  return watch;
}

async function resumes(cast: CastOfClients, token: string, h: number): Promise<StreamClient> {
  const watch = await cast.raw('watch');
  await watch.logsIn({ local: cast.romeo.local, password: cast.passwordOf('romeo') });
  await watch.sends(`<resume xmlns='${SM}' previd='${token}' h='${h}'/>`);
  await watch.receives(`<resumed xmlns='${SM}' previd='${token}' h='{any}'/>`);
  return watch;
}

/** The next message, past what stream management says. */
async function bodyOfCopy(watch: StreamClient): Promise<string> {
  const message = await watch.takes('a copy', ({ name }) => name === 'message');
  return /<body>([^<]*)/.exec(printXml(message))?.[1] ?? '';
}

transcript(
  'XEP-0280, XEP-0198 §5: a client that was away gets its copies when it resumes, and further ones',
  { onlyOurs: ORDER },
  async (cast) => {
    const { romeo, juliet } = cast;
    await cast.ready();
    const watch = await watcher(cast);
    await romeo.sends(xml({ from: romeo, to: juliet, id: 'm1', content: body('one') }));
    assert.equal(await bodyOfCopy(watch), 'one');
    await watch.drops();
    await romeo.sends(xml({ from: romeo, to: juliet, id: 'm2', content: body('two') }));
    await juliet.sends(xml({ from: juliet, to: romeo, id: 'm3', content: body('three') }));
    const again = await resumes(cast, cast.captured.get('token')!, 1);
    for (const text of ['two', 'three']) assert.equal(await bodyOfCopy(again), text);
    await juliet.sends(xml({ from: juliet, to: romeo, id: 'm4', content: body('four') }));
    assert.equal(await bodyOfCopy(again), 'four');
  },
);

transcript(
  'XEP-0280, XEP-0198 §5: likewise after the server was killed: what it had not got comes again as a copy, and carbons are on',
  { onlyOurs: 'restarts it' },
  async (cast) => {
    const { romeo, juliet } = cast;
    await cast.ready();
    const watch = await watcher(cast);
    for (const text of ['one', 'two']) await romeo.sends(xml({ from: romeo, to: juliet, id: text, content: body(text) }));
    for (const text of ['one', 'two']) assert.equal(await bodyOfCopy(watch), text);
    const token = cast.captured.get('token')!;
    const after = await cast.restarted();
    await after.romeo.sends('<presence/>');
    await after.juliet.sends('<presence/>');
    const again = await resumes(after, token, 1); // 'two' was never acknowledged
    assert.equal(await bodyOfCopy(again), 'two');
    await after.romeo.sends(xml({ from: after.romeo, to: after.juliet, id: 'm3', content: body('three') }));
    assert.equal(await bodyOfCopy(again), 'three');
  },
);
