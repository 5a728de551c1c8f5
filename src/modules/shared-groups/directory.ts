/** The groups of each host as one worker knows them: read once, and again when a command has changed them. */
import { ACCOUNTS } from '../../core/accounts.ts';
import type { Host } from '../../core/host.ts';
import type { BareJid } from '../../xmpp/jid.ts';
import type { Store } from '../../store/store.ts';
import { Directory, GROUPS, type Group } from './group.ts';

/** Accounts read at a time. */
const PAGE = 1_000;

interface Known {
  loading: Promise<Directory> | undefined;
  current: Directory | undefined;
}

const known = new WeakMap<Host, Known>();

/** Undefined before an account of the host was loaded. */
export function directoryOf(host: Host): Directory | undefined {
  return known.get(host)?.current;
}

export function loadDirectory(host: Host): Promise<Directory> {
  const entry = known.get(host);
  if (entry?.loading !== undefined) return entry.loading;
  return reloadDirectory(host);
}

export function reloadDirectory(host: Host): Promise<Directory> {
  const entry: Known = { loading: undefined, current: directoryOf(host) };
  known.set(host, entry);
  entry.loading = readDirectory(host.services.store, host.domain).then(
    (directory) => (entry.current = directory),
    (error: unknown) => {
      entry.loading = undefined; // the next one tries again
      throw error;
    },
  );
  return entry.loading;
}

export async function readGroups(store: Store, domain: string): Promise<Map<string, Group>> {
  const rows = await store.list(GROUPS, domain);
  return new Map(rows.map(({ key, value }) => [String(key[0]), value]));
}

async function readDirectory(store: Store, domain: string): Promise<Directory> {
  const groups = await readGroups(store, domain);
  const empty = new Directory(groups, []);
  return empty.needsEveryone ? new Directory(groups, await accountsOf(store, domain)) : empty;
}

async function accountsOf(store: Store, domain: string): Promise<BareJid[]> {
  const accounts: BareJid[] = [];
  let after: string | undefined;
  for (;;) {
    const page = await store.partitions(ACCOUNTS, after, PAGE);
    for (const bare of page) if (bare.endsWith(`@${domain}`)) accounts.push(bare as BareJid);
    after = page.at(-1);
    if (page.length < PAGE) return accounts;
  }
}
