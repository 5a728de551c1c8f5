/** What an account keeps in memory for its archive while it is loaded. */
import type { AccountSlot } from '../../core/module.ts';
import type { Job } from './queries.ts';
import { Preferences, PREFERENCES } from './preferences.ts';

export interface ArchiveState {
  /** Undefined as long as the owner has not said anything: then the host's default holds. */
  preferences: Preferences | undefined;
  /** Queries wait for each other: one is under way at a time, until its results have left. */
  isAnswering: boolean;
  readonly waiting: Job[];
  isTrimming: boolean;
}

export const ARCHIVE: AccountSlot<ArchiveState> = {
  name: 'archive',
  load: async (store, bare) => {
    const row = await store.get(PREFERENCES, bare, []);
    return { preferences: row === undefined ? undefined : new Preferences(row), isAnswering: false, waiting: [], isTrimming: false };
  },
};
