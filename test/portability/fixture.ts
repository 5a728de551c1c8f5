/** Accounts in a store in memory, moved to another one by way of files. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ACCOUNTS, CREDENTIALS } from '../../src/core/accounts.ts';
import { MODULES } from '../../src/modules/index.ts';
import { exportAccount } from '../../src/portability/export.ts';
import { importAccounts, type ImportOptions, type ImportReport } from '../../src/portability/import.ts';
import { derive } from '../../src/pool.ts';
import { openMemory } from '../../src/store/memory.ts';
import { Batch, type Key, type Store, type Table } from '../../src/store/store.ts';
import { parseJid } from '../../src/xmpp/jid.ts';
import { opaqueString } from '../../src/xmpp/precis.ts';

export const NOW = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

export class Scene implements Disposable {
  readonly store: Store;
  readonly directory = mkdtempSync(join(tmpdir(), 'rookery-moving-'));

  constructor(store: Store = openMemory()) {
    this.store = store;
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true });
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  file(name: string, text: string): string {
    writeFileSync(this.path(name), text);
    return this.path(name);
  }

  async put<V>(bare: string, rows: readonly (readonly [table: Table<V>, key: Key, value: V])[]): Promise<void> {
    const batch = new Batch(bare);
    for (const [table, key, value] of rows) batch.put(table, key, value);
    await this.store.commit(batch).promise;
  }

  async createAccount(bare: string, password = 'secret'): Promise<void> {
    await this.put(bare, [[ACCOUNTS, [], { createdAtMs: NOW - 1_000, isEnabled: true }]]);
    for (const record of derive({ password: opaqueString(password)!, iterations: 4_096 }))
      await this.put(bare, [[CREDENTIALS, [record.hash], record]]);
  }

  async export(bare: string, isInUse = false): Promise<string> {
    let text = '';
    for await (const piece of exportAccount(this.store, parseJid(bare)!, MODULES, isInUse)) text += piece;
    return text;
  }

  import(file: string, options: Partial<ImportOptions> = {}): Promise<ImportReport> {
    return importAccounts({
      store: this.store,
      file,
      modules: MODULES,
      domains: ['capulet.lit', 'montague.lit'],
      isOverwriting: false,
      derive: async (password) => derive({ password, iterations: 4_096 }),
      now: () => NOW,
      maxStanzaBytes: 256 * 1024,
      maxAnswerBytes: 512 * 1024,
      ...options,
    });
  }

  async rows<V>(table: Table<V>, bare: string): Promise<[Key, V][]> {
    return (await this.store.list(table, bare)).map(({ key, value }) => [key, value]);
  }
}
