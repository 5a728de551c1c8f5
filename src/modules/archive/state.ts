/** What an account keeps in memory for its archive while it is loaded. */
import type { AccountSlot } from '../../core/module.ts';
import { jsonTable } from '../../store/codec.ts';

/** XEP-0441 §2.1.1 */
export type DefaultBehaviour = 'always' | 'never' | 'roster';
export const DEFAULT_BEHAVIOURS: readonly DefaultBehaviour[] = ['always', 'never', 'roster'];

/** As stored; JIDs are normalised, full or bare. */
export interface PreferenceRow {
  readonly default: DefaultBehaviour;
  readonly always: readonly string[];
  readonly never: readonly string[];
}

/** One row per account that has said something. */
export const PREFERENCES = jsonTable<PreferenceRow>({ name: 'archive_preferences', version: 1 });

/** Of one account, for quick looking up. */
export class Preferences {
  readonly default: DefaultBehaviour;
  readonly always: ReadonlySet<string>;
  readonly never: ReadonlySet<string>;

  constructor({ default: behaviour, always, never }: PreferenceRow) {
    this.default = behaviour;
    this.always = new Set(always);
    this.never = new Set(never);
  }
}

export interface ArchiveState {
  /** Undefined as long as the owner has not said anything: then the host's default holds. */
  preferences: Preferences | undefined;
}

export const ARCHIVE: AccountSlot<ArchiveState> = {
  name: 'archive',
  load: async (store, bare) => {
    const row = await store.get(PREFERENCES, bare, []);
    return { preferences: row === undefined ? undefined : new Preferences(row) };
  },
};
