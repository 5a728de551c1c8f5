/** Work on a data directory whose server is stopped. For as long, this process holds the lock that a server would. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { DataTools } from '../cli/data.ts';
import type { Config } from '../config/config.ts';
import { tryLock } from '../control/lock.ts';
import { controlPath } from '../control/protocol.ts';
import { OperatorError } from '../kernel/errors.ts';
import { MODULES } from '../modules/index.ts';
import { exportAccount } from '../portability/export.ts';
import { importAccounts } from '../portability/import.ts';
import { DATA_FILE } from '../store/lmdb/backup.ts';
import type { Store } from '../store/store.ts';
import { parseJid, type Jid } from '../xmpp/jid.ts';
import { backUp, restore } from './backup.ts';
import { openStore, storePath } from './open-store.ts';
import { Pool } from './pool.ts';
import { ensureDataDir } from './startup.ts';

export const dataTools: DataTools = {
  async backUp(config, directory) {
    await using store = await openExisting(config);
    return await backUp({ store: store.store, dataDir: config.dataDir, directory });
  },

  async restore(config, directory, isReplacing) {
    ensureDataDir(config);
    using _lock = lock(config);
    return await restore({ dataDir: config.dataDir, directory, isReplacing });
  },

  async *exportAccount(config, address) {
    const jid = accountOf(address);
    await using store = await openExisting(config);
    yield* exportAccount(store.store, jid, MODULES, false);
  },

  async importAccounts(config, { file, domain, isOverwriting }) {
    ensureDataDir(config);
    await using store = await openLocked(config);
    const pool = new Pool(config.pool);
    try {
      return await importAccounts({
        store: store.store,
        file,
        modules: MODULES,
        domains: config.hosts.map(({ domain: served }) => served),
        domain,
        isOverwriting,
        derive: (password) => pool.derive(password, config.accounts.scramIterations),
        now: Date.now,
        maxStanzaBytes: config.stanza.afterLogin.maxBytes,
        maxAnswerBytes: config.limits.outboundBytes / 2,
      });
    } finally {
      await pool.close();
    }
  },
};

interface LockedStore extends AsyncDisposable {
  readonly store: Store;
}

async function openExisting(config: Config): Promise<LockedStore> {
  if (!existsSync(join(storePath(config), DATA_FILE)))
    throw new OperatorError(
      'ERR_NO_STORE',
      `There is no store in ${config.dataDir}. Set ROOKERY_DATA_DIR, or --data-dir, to the directory that has one.`,
    );
  return openLocked(config);
}

async function openLocked(config: Config): Promise<LockedStore> {
  const held = lock(config);
  try {
    const store = await openStore(config);
    return {
      store,
      async [Symbol.asyncDispose]() {
        await store.close();
        held[Symbol.dispose]();
      },
    };
  } catch (error) {
    held[Symbol.dispose]();
    throw error;
  }
}

function lock({ dataDir }: Config): Disposable {
  const held = tryLock(`${controlPath(dataDir)}.lock`);
  if (held === undefined)
    throw new OperatorError(
      'ERR_CONTROL_IN_USE',
      `A server, or another command, uses the data directory ${dataDir}. Stop it first, with: rookery stop`,
    );
  return { [Symbol.dispose]: () => held.release() };
}

function accountOf(address: string): Jid {
  const jid = parseJid(address);
  if (jid === undefined || jid.local === '' || jid.resource !== '')
    throw new OperatorError('ERR_ADDRESS', `'${address}' is not the address of an account. It should look like juliet@capulet.lit.`);
  return jid;
}
