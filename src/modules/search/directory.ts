/** The entries of one host, in memory while somebody searches. */
import { jsonTable } from '../../store/codec.ts';
import type { Store } from '../../store/store.ts';
import { FIELDS, MAX_LENGTH, type Entry, type Field } from './entry.ts';

/** Keyed by bare JID, in the partition of the service. */
export const ENTRIES = jsonTable<Entry>({ name: 'directory_entry', version: 1 });

/** What is sought, without the `*` at its end that some clients write, and no longer than what is known. */
export function withoutStars(text: string): string {
  const sought = text.trim().slice(0, MAX_LENGTH);
  let end = sought.length;
  while (end > 0 && sought[end - 1] === '*') end--;
  return sought.slice(0, end).trim();
}

/** Of the texts that are compared: case and accents do not count. */
export function folded(text: string): string {
  return text
    .normalize('NFKD')
    .replace(/\p{M}+/gu, '')
    .toLowerCase();
}

export class Directory {
  readonly entries = new Map<string, { readonly entry: Entry; readonly folded: Entry }>();

  set(bare: string, entry: Entry | undefined): void {
    if (entry === undefined) {
      this.entries.delete(bare);
      return;
    }
    const [first, last, nick, email] = FIELDS.map((field) => folded(entry[field]));
    this.entries.set(bare, { entry, folded: { first: first!, last: last!, nick: nick!, email: email! } });
  }

  /**
   * Those whose fields begin with what is sought, all of it. Cost: O(entries).
   *
   * @param sought not empty; `*` at the end of a text changes nothing.
   */
  find(sought: ReadonlyMap<Field, string>, most: number): (readonly [bare: string, entry: Entry])[] {
    const wanted = [...sought].map(([field, text]) => [field, folded(withoutStars(text))] as const);
    const found: (readonly [string, Entry])[] = [];
    for (const [bare, { entry, folded: known }] of this.entries) {
      if (!wanted.every(([field, text]) => known[field].startsWith(text))) continue;
      found.push([bare, entry]);
      if (found.length >= most) break;
    }
    return found;
  }
}

export async function loadDirectory(store: Store, partition: string): Promise<Directory> {
  const directory = new Directory();
  for (const { key, value } of await store.list(ENTRIES, partition)) directory.set(String(key[0]), value);
  return directory;
}
