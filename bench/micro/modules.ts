/**
 * What the modules add to a chat message between two accounts without rules of their own: every hook, guard and question that one
 * passes, in the sender's account and in the recipient's. With every module, and with none but the archive, which is the log's.
 * Run: node bench/micro/modules.ts [--json]
 */
import { loadConfig } from '../../src/config/load.ts';
import type { AccountContext, CoreLog, Services } from '../../src/core/context.ts';
import { enabledModules, Host } from '../../src/core/host.ts';
import type { SessionIdentity } from '../../src/core/messages.ts';
import type { AccountSlot, ModuleSpec } from '../../src/core/module.ts';
import { Session } from '../../src/core/session.ts';
import { AccountLog } from '../../src/log/log.ts';
import { MODULES } from '../../src/modules/index.ts';
import { moduleSchemas } from '../../src/server/module-schemas.ts';
import { openMemory } from '../../src/store/memory.ts';
import { parseJid, type Jid } from '../../src/xmpp/jid.ts';
import { Stanza } from '../../src/xmpp/stanza.ts';
import { measureNs, report } from './results.ts';

const CALLS = 200_000;
const HEAP_CALLS = 2_000;

const noLog: CoreLog = { debug: ignore, info: ignore, warn: ignore, error: ignore };
function ignore(): void {
  // nobody reads it
}

function hostWith(disable: readonly string[]): Host {
  const { config } = loadConfig({ env: {}, values: { domains: ['capulet.lit'] }, modules: moduleSchemas() });
  const [host] = config.hosts;
  const off = Object.fromEntries(disable.map((name) => [name, { ...host!.modules[name]!, isEnabled: false }]));
  const settings = { ...host!, modules: { ...host!.modules, ...off } };
  const modules = enabledModules(settings, MODULES);
  if (typeof modules === 'string') throw new Error(modules);
  const services = { store: openMemory(), log: noLog, now: () => 1, secret: Buffer.alloc(32) } as unknown as Services;
  return new Host(config, settings, modules, services);
}

interface Party {
  readonly account: AccountContext;
  readonly session: Session;
}

async function party(host: Host, jid: Jid): Promise<Party> {
  const { store } = host.services;
  const states = new Map<AccountSlot<unknown>, unknown>();
  for (const slot of host.slots) states.set(slot, await slot.load(store, jid.bare, host));
  const bySlot = host.slots.map((slot) => states.get(slot));
  const session = new Session({ sid: `AAAAAAAA${jid.local}`, connection: {} } as SessionIdentity, jid);
  const account = {
    jid: jid.toBare(),
    bare: jid.bare,
    host,
    now: 1,
    sessions: [session],
    sessionCount: 1,
    isTemporary: false,
    log: new AccountLog({ state: undefined, tail: [] }),
    session: () => session,
    state: (slot: AccountSlot<unknown>) => bySlot[host.slotIndex(slot)],
  } as unknown as AccountContext;
  return { account, session };
}

async function measure(host: Host): Promise<{ readonly ns: number; readonly bytes: number }> {
  const from = parseJid('romeo@capulet.lit/orchard')!;
  const to = parseJid('juliet@capulet.lit/balcony')!;
  const sender = await party(host, from);
  const recipient = await party(host, to);
  const stanza = new Stanza({
    kind: 'message',
    type: 'chat',
    id: 'm1',
    from,
    to,
    body: '<body>But soft, what light through yonder window breaks?</body><active xmlns="http://jabber.org/protocol/chatstates"/>',
    children: [
      { name: 'body', ns: 'jabber:client' },
      { name: 'active', ns: 'http://jabber.org/protocol/chatstates' },
    ],
  });
  const { hooks, guards } = host;
  const recipients = [recipient.session];
  const message = (): void => {
    hooks.run('user_send_message', stanza, sender.account, sender.session);
    host.archives(sender.account, stanza, 'out');
    hooks.emit('message_sent', sender.account, stanza, sender.session);
    hooks.run('user_receive_message', stanza, recipient.account, recipient.session);
    host.archives(recipient.account, stanza, 'in');
    for (let i = 0; i < guards.length; i++) guards[i]!(recipient.account, recipient.session, stanza, true);
    hooks.emit('message_delivered', recipient.account, stanza, recipients);
  };
  const ns = measureNs(CALLS, message);
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < HEAP_CALLS; i++) message();
  return { ns, bytes: Math.max(0, (process.memoryUsage().heapUsed - before) / HEAP_CALLS) };
}

const all = await measure(hostWith([]));
const names = (MODULES as readonly ModuleSpec[]).map(({ name }) => name).filter((name) => name !== 'archive' && name !== 'roster');
const few = await measure(hostWith(names));
report('a chat message with every module', all.ns, 'ns');
report('a chat message with every module, left on the heap', all.bytes, 'bytes');
report('a chat message with the archive alone', few.ns, 'ns');
