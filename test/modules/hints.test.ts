/** XEP-0334 is obeyed by several modules; here is what a client sees of each hint. What it means for the archive is in its own test. */
import { transcript } from '../harness/transcript.ts';

const HINTS = 'urn:xmpp:hints';
const CARBONS = 'urn:xmpp:carbons:2';
const STATES = 'http://jabber.org/protocol/chatstates';
const ID = `<stanza-id xmlns='urn:xmpp:sid:0' id='{any}' by='{any}' match:optional='true'/>`;
const SERVICE_UNAVAILABLE = `<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`;
const hint = (name: string): string => `<${name} xmlns='${HINTS}'/>`;
const delay = (domain: string): string => `<delay xmlns='urn:xmpp:delay' from='${domain}' stamp='{stamp}'>{any}</delay>`;
const OURS = { onlyOurs: 'hints need not be obeyed' };

for (const name of ['no-store', 'no-permanent-store', 'no-copy', 'store']) {
  transcript(`XEP-0334 §4: <${name}/> is no hindrance to delivery, and is passed on`, async ({ romeo, juliet }) => {
    await romeo.sends(`<message type='chat' id='m1' to='${juliet.full}'><body>Hist!</body>${hint(name)}</message>`);
    await juliet.receives(`<message type='chat' id='m1' from='${romeo.full}'><body>Hist!</body>${hint(name)}${ID}</message>`);
    await romeo.receivesNothing();
  });
}

transcript('XEP-0334 §4.2: with <no-store/> a message waits for nobody, and its sender is told', OURS, async (cast) => {
  const { romeo } = cast;
  const juliet = cast.offline('juliet');
  await romeo.sends(`<message type='chat' id='m1' to='${juliet.bare}'><body>Burn this</body>${hint('no-store')}</message>`);
  await romeo.receives(`<message type='error' id='m1' from='${juliet.bare}'>${SERVICE_UNAVAILABLE}</message>`);
  await juliet.connects();
  await juliet.becomesAvailable();
  await juliet.receivesNothing();
});

transcript('XEP-0334 §4.1: with <no-permanent-store/> it does wait', async (cast) => {
  const { romeo } = cast;
  const juliet = cast.offline('juliet');
  await romeo.sends(`<message type='chat' id='m1' to='${juliet.bare}'><body>Off the record</body>${hint('no-permanent-store')}</message>`);
  await romeo.receivesNothing();
  await juliet.connects();
  await juliet.becomesAvailable();
  await juliet.receives(
    `<message type='chat' id='m1'><body>Off the record</body>${hint('no-permanent-store')}${delay(cast.domain)}${ID}</message>`,
  );
});

transcript('XEP-0334 §4.4: with <store/> even a chat state waits', OURS, async (cast) => {
  const { romeo } = cast;
  const juliet = cast.offline('juliet');
  await romeo.sends(`<message type='chat' id='m1' to='${juliet.bare}'><gone xmlns='${STATES}'/></message>`);
  await romeo.sends(`<message type='chat' id='m2' to='${juliet.bare}'><gone xmlns='${STATES}'/>${hint('store')}</message>`);
  await romeo.receivesNothing();
  await juliet.connects();
  await juliet.becomesAvailable();
  await juliet.receives(`<message type='chat' id='m2'><gone xmlns='${STATES}'/>${hint('store')}${delay(cast.domain)}${ID}</message>`);
  await juliet.receivesNothing();
});

transcript('XEP-0334: hints that contradict each other: what is not to be stored is not', OURS, async (cast) => {
  const { romeo } = cast;
  const juliet = cast.offline('juliet');
  await romeo.sends(`<message type='chat' id='m1' to='${juliet.bare}'><body>Well?</body>${hint('store')}${hint('no-store')}</message>`);
  await romeo.receives(`<message type='error' id='m1' from='${juliet.bare}'>${SERVICE_UNAVAILABLE}</message>`);
});

transcript('XEP-0334 §4.3: with <no-copy/> there are no carbons, on neither side', async ({ romeo, phone, juliet, chamber }) => {
  for (const client of [phone, chamber]) {
    await client.sends(`<iq type='set' id='c1'><enable xmlns='${CARBONS}'/></iq>`);
    await client.receives(`<iq type='result' id='c1'/>`);
  }
  await romeo.sends(`<message type='chat' id='m1' to='${juliet.full}'><body>Psst</body>${hint('no-copy')}</message>`);
  await juliet.receives(`<message type='chat' id='m1'><body>Psst</body>${hint('no-copy')}${ID}</message>`);
  for (const client of [phone, chamber]) await client.receivesNothing();
});

transcript('XEP-0334 §4.3: to a bare JID it changes nothing about who gets the message itself', async ({ romeo, juliet, chamber }) => {
  for (const client of [juliet, chamber]) await client.becomesAvailable();
  await juliet.collects();
  await romeo.sends(`<message type='chat' id='m1' to='${juliet.bare}'><body>Psst</body>${hint('no-copy')}</message>`);
  for (const client of [juliet, chamber]) {
    await client.receives(`<message type='chat' id='m1'><body>Psst</body>${hint('no-copy')}${ID}</message>`);
    await client.receivesNothing();
  }
});

transcript('XEP-0334 §4.2, XEP-0280 §6.1: <no-store/> is no word against carbons', OURS, async ({ romeo, juliet, chamber }) => {
  await chamber.sends(`<iq type='set' id='c1'><enable xmlns='${CARBONS}'/></iq>`);
  await chamber.receives(`<iq type='result' id='c1'/>`);
  await romeo.sends(`<message type='chat' id='m1' to='${juliet.full}'><body>Psst</body>${hint('no-store')}</message>`);
  await chamber.receives(
    `<message type='chat'><received xmlns='${CARBONS}'><forwarded xmlns='urn:xmpp:forward:0'>
      <message xmlns='jabber:client' type='chat' id='m1' from='${romeo.full}' to='${juliet.full}'><body>Psst</body>${hint('no-store')}</message>
    </forwarded></received></message>`,
  );
});

transcript('XEP-0334 §5: in an error hints mean nothing', OURS, async ({ romeo, phone, juliet }) => {
  await phone.sends(`<iq type='set' id='c1'><enable xmlns='${CARBONS}'/></iq>`);
  await phone.receives(`<iq type='result' id='c1'/>`);
  await romeo.sends(`<message type='chat' id='m1' to='${juliet.full}'><body>Hist!</body></message>`);
  await juliet.receives(`<message type='chat' id='m1'><body>Hist!</body>${ID}</message>`);
  await juliet.sends(`<message type='error' id='m1' to='${romeo.full}'>${hint('no-copy')}${SERVICE_UNAVAILABLE}</message>`);
  const copies = await phone.collects();
  if (copies.length !== 2) throw new Error(`${copies.length} copies`);
});
