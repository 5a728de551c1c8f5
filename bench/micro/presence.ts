/**
 * What presence costs the account of the sender: broadcasting to a roster, and the rows of a login.
 * Run: node bench/micro/presence.ts [--json]. ns per contact, or per call, best of seven rounds.
 */
import type { AccountContext } from '../../src/core/context.ts';
import type { SessionIdentity } from '../../src/core/messages.ts';
import { Session } from '../../src/core/session.ts';
import { broadcastAvailable } from '../../src/modules/presence/broadcast.ts';
import { blankItem, ITEMS, itemXml } from '../../src/modules/roster/item.ts';
import { Roster } from '../../src/modules/roster/roster.ts';
import { parseJid } from '../../src/xmpp/jid.ts';
import { Stanza } from '../../src/xmpp/stanza.ts';
import { measureNs, report } from './results.ts';

function measure(name: string, calls: number, contacts: number, run: () => void): void {
  report(name, measureNs(calls, run) / contacts, 'ns');
}

const jid = parseJid('romeo@montague.lit/orchard')!;
const body = `<show>away</show><status>Wherefore art thou?</status><priority>5</priority><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='https://psi.im' ver='q07IKJEyjvHSyhy//CH0CxmKi8w='/>`;
const children = ['show', 'status', 'priority'].map((name) => ({ name, ns: 'jabber:client' }));

function account(contacts: number): { context: AccountContext; routed: Stanza[]; session: Session } {
  const roster = new Roster();
  for (let i = 0; i < contacts; i++) roster.set({ ...blankItem(parseJid(`contact${i}@capulet.lit`)!), subscription: 'both' });
  const session = new Session({ sid: 's' } as SessionIdentity, jid);
  const routed: Stanza[] = [];
  const context = {
    jid: jid.toBare(),
    bare: jid.bare,
    now: 1,
    sessions: [session],
    host: { domain: 'montague.lit', hooks: { emit: () => undefined } },
    state: (slot: { name: string }) => (slot.name === 'roster' ? roster : { current: undefined }),
    route: (stanza: Stanza) => {
      routed[routed.length & 1023] = stanza;
      if (routed.length >= 1024) routed.length = 0;
    },
    push: () => undefined,
  } as unknown as AccountContext;
  return { context, routed, session };
}

for (const contacts of [20, 200, 2_000]) {
  const { context, session } = account(contacts);
  const presence = (): Stanza =>
    new Stanza({ kind: 'presence', type: 'available', from: jid, to: jid.toBare(), body, children, hasTo: false });
  broadcastAvailable(presence(), context, session);
  measure(`subsequent presence to ${contacts} subscribers`, 400_000 / contacts, contacts, () => {
    broadcastAvailable(presence(), context, session);
  });
  measure(`initial presence, with probes, ${contacts} contacts`, 400_000 / contacts, contacts, () => {
    session.presence = undefined;
    broadcastAvailable(presence(), context, session);
  });
}

const item = { ...blankItem(parseJid('nurse@capulet.lit')!), name: 'Nurse', groups: ['Servants'], subscription: 'both' as const };
const row = ITEMS.encode(item);
measure('a roster row written', 200_000, 1, () => void ITEMS.encode(item));
measure('a roster row read', 200_000, 1, () => void ITEMS.decode(row, 1));
measure('a roster item as XML', 200_000, 1, () => void itemXml(item));
