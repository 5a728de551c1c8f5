import assert from 'node:assert/strict';
import { test } from 'node:test';
import multicast from '../../src/modules/multicast/index.ts';
import type { HostContext } from '../../src/core/context.ts';
import { el } from '../../src/xml/element.ts';
import { parseJid } from '../../src/xmpp/jid.ts';
import { makeStanza, type Stanza } from '../../src/xmpp/stanza.ts';
import type { CastOfClients, Client } from '../harness/cast.ts';
import { transcript, type TranscriptOptions } from '../harness/transcript.ts';
import { childElements, childOf, type XmlElement } from '../harness/xml.ts';

const NS = 'http://jabber.org/protocol/address';
const STANZAS = 'urn:ietf:params:xml:ns:xmpp-stanzas';
/** ejabberd has a service of its own for it, Prosody 0.12 has none. */
const OTHERS: TranscriptOptions = { differs: { prosody: 'has no multicast', ejabberd: 'has it at multicast.<host>' } };

type Play = (cast: CastOfClients) => Promise<void>;
const scene = (title: string, play: Play): void => transcript(title, OTHERS, play);

const address = (type: string, jid: string, more = ''): string => `<address type='${type}' jid='${jid}' ${more}/>`;
const message = (to: string, addresses: string, id = 'm1'): string =>
  `<message type='chat' id='${id}' to='${to}'><addresses xmlns='${NS}'>${addresses}</addresses><body>All!</body></message>`;

/** The addresses of the next message, as `type jid delivered`. */
async function addressesOf(client: Client, name = 'message'): Promise<string[]> {
  const stanza: XmlElement = await client.takes(
    `a ${name}`,
    (element) => element.name === name && childOf(element, 'addresses', NS) !== undefined,
  );
  return childElements(childOf(stanza, 'addresses', NS)!).map(({ attrs }) =>
    [attrs['type'], attrs['jid'], attrs['delivered'] && 'delivered'].filter(Boolean).join(' '),
  );
}

scene('XEP-0033 §2.1: a feature of the server', async ({ romeo }) => {
  await romeo.sends(`<iq type='get' id='d1' to='${romeo.domain}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`);
  const answer = await romeo.receives(`<iq type='result' id='d1' match:rest='ignore'/>`);
  assert.ok(childElements(childElements(answer)[0]!).some(({ attrs }) => attrs['var'] === NS));
});

scene('XEP-0033 §6: to, cc and bcc; blind copies are seen by nobody else', async ({ romeo, juliet, nurse, mercutio, paris }) => {
  for (const client of [juliet, nurse, mercutio, paris]) await client.becomesAvailable();
  const all = [address('to', juliet.bare), address('cc', nurse.bare), address('bcc', mercutio.bare), address('bcc', paris.full)];
  await romeo.sends(message(romeo.domain, all.join('')));
  const seen = [`to ${juliet.bare} delivered`, `cc ${nurse.bare} delivered`];
  assert.deepEqual(await addressesOf(juliet), seen);
  assert.deepEqual(await addressesOf(nurse), seen);
  assert.deepEqual(await addressesOf(mercutio), [...seen, `bcc ${mercutio.bare}`]);
  assert.deepEqual(await addressesOf(paris), [...seen, `bcc ${paris.full}`]);
  await romeo.receivesNothing();
});

scene('XEP-0033 §3: sender, type, id and content are those of the stanza', async ({ romeo, juliet }) => {
  await juliet.becomesAvailable();
  await romeo.sends(message(romeo.domain, address('to', juliet.bare, `desc='The sun'`) + `<address type='noreply'/>`));
  await juliet.receives(
    `<message type='chat' id='m1' from='${romeo.full}' to='${juliet.bare}' match:rest='ignore'><addresses xmlns='${NS}'><address type='to' jid='${juliet.bare}' desc='The sun' delivered='true'/><address type='noreply'/></addresses><body>All!</body></message>`,
  );
});

scene('XEP-0033 §4.6: who has it already does not get it again; each gets it once', async ({ romeo, juliet, nurse }) => {
  await juliet.becomesAvailable();
  await nurse.becomesAvailable();
  const twice = address('to', nurse.bare) + address('cc', nurse.bare);
  await romeo.sends(message(romeo.domain, address('to', juliet.bare, `delivered='true'`) + twice));
  assert.deepEqual(await addressesOf(nurse), [`to ${juliet.bare} delivered`, `to ${nurse.bare} delivered`, `cc ${nurse.bare} delivered`]);
  await nurse.receivesNothing();
  await juliet.receivesNothing();
});

scene('XEP-0033 §4.7: where to answer is passed on, and nothing is sent there', async ({ romeo, juliet, nurse }) => {
  await juliet.becomesAvailable();
  await nurse.becomesAvailable();
  await romeo.sends(
    message(romeo.domain, address('to', juliet.bare) + address('replyto', nurse.bare) + address('replyroom', 'room@example.lit')),
  );
  assert.deepEqual(await addressesOf(juliet), [`to ${juliet.bare} delivered`, `replyto ${nurse.bare}`, 'replyroom room@example.lit']);
  await nurse.receivesNothing();
});

const BAD: readonly (readonly [string, string, string])[] = [
  ['without a recipient', `<address type='noreply'/>`, 'bad-request'],
  ['with an address without a type', `<address jid='a@b'/>`, 'bad-request'],
  ['with a type that is none', `<address type='bc' jid='a@b'/>`, 'bad-request'],
  ['with an address of another protocol', `<address type='to' uri='mailto:a@b'/>`, 'jid-malformed'],
  ['with two kinds of address', `<address type='to' jid='a@b' uri='mailto:a@b'/>`, 'bad-request'],
  ['with no address at all', `<address type='to' desc='You'/>`, 'bad-request'],
  ['with an address that is none', `<address type='to' jid='@b'/>`, 'jid-malformed'],
  ['with too many', Array.from({ length: 51 }, (_, i) => `<address type='to' jid='a${i}@b'/>`).join(''), 'not-acceptable'],
];
for (const [what, addresses, condition] of BAD) {
  scene(`XEP-0033 §4, §8: refused, and sent to nobody: one ${what}`, async ({ romeo, juliet }) => {
    await juliet.becomesAvailable();
    await romeo.sends(message(romeo.domain, address('to', juliet.bare).repeat(what.startsWith('without') ? 0 : 1) + addresses));
    await romeo.receives(
      `<message type='error' id='m1' match:rest='ignore'><error type='modify' match:rest='ignore'><${condition} xmlns='${STANZAS}'/></error></message>`,
    );
    await juliet.receivesNothing();
  });
}

scene('XEP-0033 §9: a list that leads back here goes nowhere', async ({ romeo, juliet }) => {
  await juliet.becomesAvailable();
  await romeo.sends(message(romeo.domain, address('to', juliet.bare) + address('to', romeo.domain)));
  await romeo.receives(
    `<message type='error' id='m1' match:rest='ignore'><error type='auth' match:rest='ignore'><forbidden xmlns='${STANZAS}'/></error></message>`,
  );
  await juliet.receivesNothing();
});

scene('an addressee that is not there is answered for, the others get it', async ({ romeo, juliet }) => {
  await juliet.becomesAvailable();
  await romeo.sends(message(romeo.domain, address('to', juliet.bare) + address('to', `nobody@${romeo.domain}`)));
  await addressesOf(juliet);
  await romeo.receives(`<message type='error' id='m1' from='nobody@${romeo.domain}' match:rest='ignore'/>`);
});

scene('XEP-0033 §5.1: presence is directed presence, and its end is told', async ({ romeo, juliet, nurse }) => {
  await romeo.becomesAvailable();
  await romeo.sends(
    `<presence to='${romeo.domain}'><addresses xmlns='${NS}'>${address('bcc', juliet.full)}${address('bcc', nurse.full)}</addresses></presence>`,
  );
  assert.deepEqual(await addressesOf(juliet, 'presence'), [`bcc ${juliet.full}`]);
  await addressesOf(nurse, 'presence');
  await romeo.disconnects();
  for (const client of [juliet, nurse]) await client.receives(`<presence type='unavailable' from='${romeo.full}' match:rest='ignore'/>`);
});

scene(
  'copies are messages like any: they wait for who is not there, and blocked addresses are left out',
  async ({ romeo, juliet, nurse }) => {
    await nurse.sync();
    await juliet.disconnects();
    await romeo.sends(`<iq type='set' id='b1'><block xmlns='urn:xmpp:blocking'><item jid='${nurse.bare}'/></block></iq>`);
    await romeo.receives(`<iq type='result' id='b1'/>`);
    await nurse.becomesAvailable();
    await romeo.sends(message(romeo.domain, address('to', juliet.bare) + address('to', nurse.bare)));
    await romeo.receives(`<message type='error' id='m1' from='${nurse.bare}' match:rest='ignore'/>`);
    await nurse.receivesNothing();
    await juliet.connects();
    await juliet.becomesAvailable();
    await addressesOf(juliet);
  },
);

scene('without addresses a message to the server is none of this', async ({ romeo }) => {
  await romeo.sends(`<message type='chat' id='m1' to='${romeo.domain}'><body>Hello?</body></message>`);
  await romeo.receives(`<message type='error' id='m1' match:rest='ignore'/>`);
});

test('XEP-0033 §2.2: other servers reach accounts of the host, and nobody else by way of it', () => {
  const host = { domain: 'capulet.lit', moduleConfig: () => ({ max_addresses: 2 }) };
  const spread = (...addresses: readonly string[]): string[] => {
    const routed: Stanza[] = [];
    const from = parseJid('romeo@montague.lit/orchard')!;
    const list = addresses.map((jid) => el('address', NS, { type: 'to', jid }));
    const stanza = makeStanza({ kind: 'message', type: 'chat', from, to: parseJid('capulet.lit')! }, el('addresses', NS, {}, ...list));
    const context = { host, route: (each: Stanza) => routed.push(each) } as unknown as HostContext;
    assert.equal(multicast.toHost!(stanza, context), 'taken');
    return routed.map(({ type, to, from: sender, body }) =>
      `${type} ${sender.bare} ${to.full} ${/<(forbidden|not-acceptable)/.exec(body)?.[1] ?? ''}`.trim(),
    );
  };
  assert.deepEqual(spread('juliet@capulet.lit', 'nurse@capulet.lit/x'), [
    'chat romeo@montague.lit juliet@capulet.lit',
    'chat romeo@montague.lit nurse@capulet.lit/x',
  ]);
  const back = 'error capulet.lit romeo@montague.lit/orchard';
  assert.deepEqual(spread('juliet@capulet.lit', 'paris@verona.lit'), [`${back} forbidden`]);
  assert.deepEqual(spread('juliet@capulet.lit', 'capulet.lit'), [`${back} forbidden`]);
  assert.deepEqual(spread('a@capulet.lit', 'b@capulet.lit', 'c@capulet.lit'), [`${back} not-acceptable`]);
});
