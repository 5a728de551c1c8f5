/**
 * The chain of hooks that every stanza passes twice, by how many handlers there are; handlers that have nothing to do.
 * Run: node bench/micro/hooks.ts [--json]
 */
import type { AccountContext } from '../../src/core/context.ts';
import { HookTable, type ModuleHooks, type Phase, type StanzaHandler } from '../../src/core/hooks.ts';
import { parseJid } from '../../src/xmpp/jid.ts';
import { Stanza } from '../../src/xmpp/stanza.ts';
import { measureNs, report } from './results.ts';

const CALLS = 1_000_000;
const jid = parseJid('romeo@montague.lit/orchard')!;
const stanza = new Stanza({
  kind: 'message',
  type: 'chat',
  from: jid,
  to: jid,
  body: '<body>Hi</body>',
  children: [{ name: 'body', ns: 'jabber:client' }],
});
const account = {} as AccountContext;

/** Each looks at the stanza, as handlers do, and lets it pass. */
function handler(phase: Phase, n: number): StanzaHandler {
  const ns = `urn:example:${n}`;
  switch (phase) {
    case 'filter':
      return { phase, run: (each) => (each.has('x', ns) ? each.readdressed(jid, jid) : each) };
    case 'enrich':
      return { phase, run: (each) => (each.has('x', ns) ? each.readdressed(jid, jid) : each) };
    case 'observe':
      return { phase, run: (each) => void each.has('x', ns) };
    case 'deliver':
      return { phase, run: (each) => each.has('x', ns) };
  }
}

const PHASES_IN_USE: readonly Phase[] = ['filter', 'enrich', 'observe', 'deliver'];

for (const count of [0, 4, 8, 16]) {
  const modules = Array.from({ length: count }, (_, n) => ({
    name: `module${n}`,
    hooks: { user_send_message: handler(PHASES_IN_USE[n % PHASES_IN_USE.length]!, n) } satisfies ModuleHooks,
  }));
  const table = new HookTable(modules, (_module, _hook, _phase, error) => {
    throw error;
  });
  if (table.run('user_send_message', stanza, account, undefined) !== stanza) throw new Error('the chain did not let it pass');
  report(
    `chain of ${count} handlers`,
    measureNs(CALLS, () => void table.run('user_send_message', stanza, account, undefined)),
    'ns',
  );
}
