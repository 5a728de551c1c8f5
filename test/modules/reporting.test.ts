import assert from 'node:assert/strict';
import { REPORTS } from '../../src/modules/reporting/report.ts';
import type { CastOfClients, Client } from '../harness/cast.ts';
import { transcript, type TranscriptOptions } from '../harness/transcript.ts';
import { childElements, childOf, textOf } from '../harness/xml.ts';

const BLOCKING = 'urn:xmpp:blocking';
const NS = 'urn:xmpp:reporting:1';
const CONFIG: TranscriptOptions = { config: { admins: ['nurse@capulet.lit'] } };

const blocking = (address: string, report: string): string =>
  `<iq type='set' id='b1'><block xmlns='${BLOCKING}'><item jid='${address}'>${report}</item></block></iq>`;

async function blocks(client: Client, address: string, report: string): Promise<void> {
  await client.sends(blocking(address, report));
  await client.receives(`<iq type='result' id='b1'/>`);
}

async function kept({ memory, juliet }: CastOfClients): Promise<unknown[]> {
  return (await memory.store.list(REPORTS, juliet.bare)).map(({ value }) => value);
}

transcript('XEP-0377 §3: a feature of the server', CONFIG, async ({ juliet }) => {
  await juliet.sends(`<iq type='get' id='d1' to='${juliet.domain}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`);
  const answer = await juliet.receives(`<iq type='result' id='d1' match:rest='ignore'/>`);
  assert.ok(childElements(childElements(answer)[0]!).some(({ attrs }) => attrs['var'] === NS));
});

transcript('XEP-0377 §6: a report is kept and sent to the admins, and the address is blocked', CONFIG, async (cast) => {
  const { juliet, romeo, nurse, balcony } = cast;
  await nurse.becomesAvailable();
  await balcony.sends(`<iq type='get' id='l1'><blocklist xmlns='${BLOCKING}'/></iq>`);
  await balcony.receives(`<iq type='result' id='l1'><blocklist xmlns='${BLOCKING}'/></iq>`);
  await blocks(
    juliet,
    romeo.bare,
    `<report xmlns='${NS}' reason='urn:xmpp:reporting:spam'><text xml:lang='en'>Never came trouble</text><stanza-id xmlns='urn:xmpp:sid:0' by='${juliet.bare}' id='28482-98726'/><report-origin/></report>`,
  );
  await balcony.receives(`<iq type='set' id='{id}'><block xmlns='${BLOCKING}'><item jid='${romeo.bare}'/></block></iq>`);
  const message = await nurse.receives(`<message from='${cast.domain}' id='{any}' match:rest='ignore'/>`);
  const text = textOf(childOf(message, 'body')!);
  for (const part of [juliet.bare, romeo.bare, 'spam', 'Never came trouble', '28482-98726']) assert.ok(text.includes(part), part);
  assert.deepEqual(await kept(cast), [
    {
      atMs: Date.UTC(2025, 5, 1, 12),
      address: romeo.bare,
      reason: 'spam',
      text: 'Never came trouble',
      messages: [{ by: juliet.bare, id: '28482-98726' }],
      mayTellOrigin: true,
      mayTellOthers: false,
    },
  ]);
  await romeo.sends(`<message type='chat' id='m1' to='${juliet.bare}'><body>Buy!</body></message>`);
  await romeo.receives(`<message type='error' id='m1' match:rest='ignore'/>`);
  await romeo.receivesNothing(); // nothing is said to whom it is about
});

transcript('XEP-0377 §6: who blocks the admins can report all the same', CONFIG, async ({ juliet, nurse }) => {
  await nurse.becomesAvailable();
  await blocks(juliet, nurse.bare, `<report xmlns='${NS}' reason='urn:xmpp:reporting:abuse'/>`);
  await nurse.receives(`<message from='${nurse.domain}' id='{any}' match:rest='ignore'/>`);
});

transcript('XEP-0377 §4: without a reason it is no report; the address is blocked', CONFIG, async (cast) => {
  const { juliet, romeo, nurse } = cast;
  await nurse.becomesAvailable();
  await blocks(juliet, romeo.bare, `<report xmlns='${NS}'/>`);
  await nurse.receivesNothing();
  assert.deepEqual(await kept(cast), []);
});

transcript(
  'reports have an end, and a recipient where the operator names one',
  { config: CONFIG.config, modules: { reporting: { max_reports: 2, recipients: ['paris@capulet.lit'] } } },
  async (cast) => {
    const { juliet, nurse, paris } = cast;
    await paris.becomesAvailable();
    await nurse.becomesAvailable();
    for (const name of ['a', 'b', 'c'])
      await blocks(juliet, `${name}@example.lit`, `<report xmlns='${NS}' reason='urn:xmpp:reporting:spam'/>`);
    for (let i = 0; i < 3; i++) await paris.receives(`<message from='${cast.domain}' id='{any}' match:rest='ignore'/>`);
    await nurse.receivesNothing();
    assert.deepEqual(
      (await kept(cast)).map((report) => (report as { address: string }).address),
      ['b@example.lit', 'c@example.lit'],
    );
  },
);
