/** Since when nobody is available: what probes of an account without available resources are told. RFC 6121 §4.3.2 (3) */
import type { AccountContext } from '../../core/context.ts';
import type { AccountSlot } from '../../core/module.ts';
import { jsonTable } from '../../store/codec.ts';

interface Absence {
  readonly sinceMs: number;
}

/** One row; from the last time the last available resource became unavailable. */
export const ABSENCES = jsonTable<Absence>({ name: 'presence_absence', version: 1 });

export const ABSENCE: AccountSlot<{ current: Absence | undefined }> = {
  name: 'presence_absence',
  load: async (store, bare) => ({ current: await store.get(ABSENCES, bare, []) }),
};

/** To be called when a resource has become unavailable; writes only if it was the last one. */
export function noteAbsence(account: AccountContext): void {
  for (const session of account.sessions) if (session.isAvailable) return;
  const absence = { sinceMs: account.now };
  account.state(ABSENCE).current = absence;
  account.put(ABSENCES, [], absence);
}

/** Milliseconds since the epoch; undefined if nobody was ever available. */
export function absentSinceMs(account: AccountContext): number | undefined {
  return account.state(ABSENCE).current?.sinceMs;
}
