/** RFC 6121 §4.3: probes and their answers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AccountContext } from '../../src/core/context.ts';
import { answerProbe } from '../../src/modules/presence/probe.ts';
import { Roster } from '../../src/modules/roster/roster.ts';
import { parseJid } from '../../src/xmpp/jid.ts';
import { makeStanza, type Stanza } from '../../src/xmpp/stanza.ts';
import { appears, befriends, presenceScene, subscribes } from './roster-scenes.ts';

const ID = 'others leave out the id';

presenceScene(
  'RFC 6121 §4.3.1, §4.3.2 (4): at login contacts are probed; each available resource answers with its last presence, its own id and its time',
  async ({ romeo, juliet, chamber, balcony }) => {
    await subscribes(romeo, juliet);
    await juliet.sends(`<presence id='pres1'><show>dnd</show><status>busy!</status></presence>`);
    await chamber.sends(`<presence id='pres2'/>`);
    await chamber.sends(`<presence id='pres3'><show>away</show></presence>`);
    await chamber.sync();
    await balcony.sync();
    await romeo.becomesAvailable();
    const delay = (from: string) => `<delay xmlns='urn:xmpp:delay' from='${from}' stamp='{stamp}'/>`;
    await romeo.receivesInAnyOrder(
      `<presence id='pres1' from='${juliet.full}'><show>dnd</show><status>busy!</status>${delay(juliet.full)}</presence>`,
      `<presence id='pres3' from='${chamber.full}'><show>away</show>${delay(chamber.full)}</presence>`,
    );
    await romeo.receivesNothing();
  },
);

presenceScene(
  'RFC 6121 §4.3.2 (3): of a contact without available resources the answer is "unavailable" from its bare JID',
  async ({ romeo, juliet }) => {
    await subscribes(romeo, juliet);
    await romeo.becomesAvailable();
    await romeo.receives(`<presence type='unavailable' from='${juliet.bare}' match:rest='ignore'/>`);
    await romeo.receivesNothing();
  },
);

presenceScene('RFC 6121 §4.3.1: only contacts one is subscribed to are probed', async ({ romeo, juliet, nurse }) => {
  await subscribes(juliet, romeo);
  await romeo.sends(`<presence type='subscribe' to='${nurse.bare}'/>`);
  await romeo.sync();
  await juliet.becomesAvailable();
  await nurse.becomesAvailable();
  await romeo.becomesAvailable();
  await romeo.receivesNothing();
});

presenceScene(
  'RFC 6121 §4.3.1: a further resource of the same account asks for itself alone',
  { onlyOurs: 'others tell all resources again' },
  async ({ romeo, phone, juliet }) => {
    await befriends(romeo, juliet);
    await appears(juliet, { offline: [romeo] });
    await appears(romeo, { online: [juliet] });
    await phone.becomesAvailable();
    await phone.receives(`<presence from='${juliet.full}' match:rest='ignore'/>`);
    await romeo.receivesNothing();
  },
);

presenceScene(
  'RFC 6121 §4.3, §4.3.2.1: a probe of a client is answered, too; its id is mirrored where there is no presence',
  { onlyOurs: ID },
  async ({ romeo, juliet }) => {
    await subscribes(romeo, juliet);
    await romeo.sends(`<presence type='probe' id='probe2' to='${juliet.bare}'/>`);
    await romeo.receives(`<presence type='unavailable' id='probe2' from='${juliet.bare}' to='${romeo.full}' match:rest='ignore'/>`);
    await juliet.sends(`<presence id='pres1'><show>dnd</show></presence>`);
    await juliet.sync();
    await romeo.sends(`<presence type='probe' id='probe3' to='${juliet.bare}'/>`);
    await romeo.receives(`<presence id='pres1' from='${juliet.full}' to='${romeo.full}' match:rest='ignore'><show>dnd</show></presence>`);
  },
);

presenceScene(
  'RFC 6121 §4.3.2 (1): who is not subscribed hears "unsubscribed" from the bare JID, whether the account exists or not',
  { onlyOurs: ID },
  async ({ romeo, juliet }) => {
    await juliet.becomesAvailable();
    await romeo.becomesAvailable();
    for (const to of [juliet.bare, juliet.full, `nobody@${romeo.domain}`]) {
      await romeo.sends(`<presence type='probe' id='probe1' to='${to}'/>`);
      await romeo.receivesNothing(); // §3.2.3: he is subscribed to nobody, so his server ignores the answer
    }
    await juliet.receivesNothing();
  },
);

presenceScene('RFC 6121 §4.3.2 (3): the answer says since when nobody is available, also after a while', async (cast) => {
  const { romeo, juliet } = cast;
  await subscribes(romeo, juliet);
  const ask = `<presence type='probe' to='${juliet.bare}'/>`;
  const since = `<delay xmlns='urn:xmpp:delay' from='${juliet.bare}' stamp='{since}'/>`;
  await romeo.sends(ask);
  await romeo.receives(`<presence type='unavailable' from='${juliet.bare}'/>`); // never
  await juliet.becomesAvailable();
  await juliet.becomesUnavailable();
  await romeo.sends(ask);
  await romeo.receives(`<presence type='unavailable' from='${juliet.bare}'>${since}</presence>`);
  await juliet.disconnects();
  await cast.advance(90_000); // long enough to be forgotten, short enough for the others to stay
  await romeo.sends(ask);
  await romeo.receives(`<presence type='unavailable' from='${juliet.bare}'>${since}</presence>`); // the same time
});

test('RFC 6121 §4.3.2 (1): the answer to a stranger is "unsubscribed" between bare JIDs, with the id of the probe', () => {
  const juliet = parseJid('juliet@capulet.lit')!;
  const routed: Stanza[] = [];
  const context: Partial<AccountContext> = {
    jid: juliet,
    bare: juliet.bare,
    sessions: [],
    state: <T>() => new Roster() as T,
    route: (stanza) => routed.push(stanza),
  };
  for (const to of ['juliet@capulet.lit', 'juliet@capulet.lit/window']) {
    answerProbe(
      makeStanza({ kind: 'presence', type: 'probe', id: 'probe1', from: parseJid('romeo@montague.lit/orchard')!, to: parseJid(to)! }),
      context as AccountContext,
    );
    assert.equal(routed.pop()?.toXml(), "<presence from='juliet@capulet.lit' to='romeo@montague.lit' type='unsubscribed' id='probe1'/>");
  }
});

presenceScene(
  'RFC 6121 §4.3.2: a probe to a full JID is answered for that resource alone, and only that it is there',
  { onlyOurs: 'others show the details' },
  async ({ romeo, juliet, chamber, balcony }) => {
    await subscribes(romeo, juliet);
    await juliet.sends(`<presence id='pres1'><show>dnd</show></presence>`);
    await chamber.sends('<presence/>');
    await juliet.sync();
    await chamber.sync();
    await romeo.sends(`<presence type='probe' to='${juliet.full}'/>`);
    await romeo.receives(`<presence from='${juliet.full}' to='${romeo.full}'/>`);
    await romeo.sends(`<presence type='probe' id='probe2' to='${balcony.full}'/>`);
    await romeo.receives(`<presence type='unavailable' id='probe2' from='${balcony.full}'/>`);
    await romeo.receivesNothing();
  },
);

presenceScene(
  'RFC 6121 §4.6.6: who got directed presence may probe the full JID it came from, and learns no more',
  { onlyOurs: 'others do not answer' },
  async ({ romeo, juliet, chamber }) => {
    await chamber.becomesAvailable();
    await juliet.sends(`<presence to='${romeo.full}'><show>chat</show></presence>`);
    await romeo.receives(`<presence from='${juliet.full}'><show>chat</show></presence>`);
    await romeo.sends(`<presence type='probe' to='${juliet.full}'/>`);
    await romeo.receives(`<presence from='${juliet.full}' to='${romeo.full}'/>`);
    await romeo.sends(`<presence type='probe' to='${chamber.full}'/>`);
    await romeo.receivesNothing();
    await juliet.sends(`<presence type='unavailable' to='${romeo.full}'/>`);
    await romeo.receives(`<presence type='unavailable' from='${juliet.full}'/>`);
    await romeo.sends(`<presence type='probe' to='${juliet.full}'/>`);
    await romeo.receivesNothing();
  },
);

presenceScene(
  'RFC 6121 §4.3: a probe without address asks for the own resources',
  { onlyOurs: 'the RFC does not say' },
  async ({ romeo, phone }) => {
    await phone.becomesAvailable();
    await romeo.becomesAvailable();
    await romeo.sends(`<presence type='probe'/>`);
    await romeo.receivesInAnyOrder(
      `<presence from='${romeo.full}' match:rest='ignore'/>`,
      `<presence from='${phone.full}' match:rest='ignore'/>`,
    );
  },
);
