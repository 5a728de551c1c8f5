/** An account's privacy lists: what is kept of them, and which one holds for whom. */
import { z } from 'zod';
import { count } from '../../config/types.ts';
import type { AccountContext } from '../../core/context.ts';
import type { AccountSlot } from '../../core/module.ts';
import type { Session, SessionSlot } from '../../core/session.ts';
import { jsonTable } from '../../store/codec.ts';
import type { Store } from '../../store/store.ts';
import { PrivacyList, type Rule } from './list.ts';

export const OPTIONS = z.strictObject({
  /** Privacy lists of one account. */
  max_lists: count({ min: 1, max: 1_000 }).schema.default(20),
  /** Rules in one list, blocked addresses included. */
  max_rules: count({ min: 1, max: 10_000 }).schema.default(1_000),
});

/** Rules by the list's name. */
export const LISTS = jsonTable<readonly Rule[]>({ name: 'privacy_list', version: 1 });
/** One row: the name of the default list. */
export const DEFAULT = jsonTable<string>({ name: 'privacy_default', version: 1 });

/** Immutable: a change makes a new one (`change.ts`). */
export interface Privacy {
  readonly lists: ReadonlyMap<string, PrivacyList>;
  /** Of `lists`; undefined where there is none. */
  readonly defaultName: string | undefined;
}

/** Of most accounts: one object for all. */
const NONE: Privacy = { lists: new Map(), defaultName: undefined };

export const PRIVACY: AccountSlot<{ current: Privacy }> = {
  name: 'privacy',
  load: async (store: Store, bare) => {
    const rows = await store.list(LISTS, bare);
    if (rows.length === 0) return { current: NONE };
    const lists = new Map<string, PrivacyList>();
    for (const { key, value } of rows) lists.set(String(key[0]), new PrivacyList(value));
    const defaultName = await store.get(DEFAULT, bare, []);
    return { current: { lists, defaultName: defaultName !== undefined && lists.has(defaultName) ? defaultName : undefined } };
  },
};

/** The list a session has chosen for itself. XEP-0016 §2.2 */
const ACTIVE: SessionSlot<string | undefined> = { name: 'privacy_active', initial: () => undefined, isKept: true };

export function privacyOf(account: AccountContext): Privacy {
  return account.state(PRIVACY).current;
}

export function activeName({ lists }: Privacy, session: Session): string | undefined {
  const name = session.get(ACTIVE);
  return name !== undefined && lists.has(name) ? name : undefined;
}

export function setActiveName(session: Session, name: string | undefined): void {
  session.set(ACTIVE, name);
}

/** The list that holds for a session, or where there is none for the account: never both. XEP-0016 §2.2 */
export function listFor(privacy: Privacy, session?: Session): PrivacyList | undefined {
  const name = (session === undefined ? undefined : activeName(privacy, session)) ?? privacy.defaultName;
  return name === undefined ? undefined : privacy.lists.get(name);
}

/** The name of the list that holds for a session. */
export function nameFor(privacy: Privacy, session: Session): string | undefined {
  return activeName(privacy, session) ?? privacy.defaultName;
}

export function limitsOf({ host }: AccountContext): z.infer<typeof OPTIONS> {
  return host.settings.modules['privacy']!.values as z.infer<typeof OPTIONS>;
}

/** Whether so many rules more fit into the default list. */
export function hasRoomForRules(account: AccountContext, added: number): boolean {
  const { rules } = listFor(privacyOf(account)) ?? { rules: [] };
  return rules.length + added <= limitsOf(account).max_rules;
}
