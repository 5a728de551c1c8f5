/** What the core itself does when modules say that something has happened; runs after all of them. */
import type { Account } from './account.ts';
import type { ModuleHooks } from './hooks.ts';
import { trim } from './retention.ts';

export const CORE: { readonly name: string; readonly hooks: ModuleHooks } = {
  name: 'core',
  hooks: {
    session_presence(account, session) {
      session.isDirty = true;
      if (!session.takesMessages) {
        session.takesFrom = Infinity;
        return;
      }
      if (session.takesFrom === Infinity) session.takesFrom = account.log.next;
      (account as Account).handOver();
    },
    segment_closed: (account) => trim(account as Account),
    woken: (account) => trim(account as Account),
  },
};
