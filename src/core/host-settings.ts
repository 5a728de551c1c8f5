/**
 * What administrators set for a host while the server runs: a message of the day, further admins, a block list. Each is one row in
 * the host's partition (its domain). Commands alone write them, on the main thread, so that there is one writer; workers are told
 * afterwards and keep what they know in memory. Loaded before any account of the host, so handlers and hooks read them at once.
 */
import { jsonTable } from '../store/codec.ts';
import { Batch, type Store, type Table } from '../store/store.ts';
import { workerOperation, type Operations } from './operations.ts';

/** One value of a host, plain data. `T` never includes undefined: that means it is not set. */
export interface HostSetting<T> {
  /** snake_case, unique; part of the key on disk. */
  readonly name: string;
  /** Never read: lets the type of the value flow. */
  readonly of?: T;
}

export function hostSetting<T>(name: string): HostSetting<T> {
  return { name };
}

/** Keyed by the setting's name. */
export const HOST_SETTINGS: Table<unknown> = jsonTable<unknown>({ name: 'host_setting', version: 1 });

/** Of one host, on one worker. */
export class HostSettings {
  private readonly store: Store;
  private readonly domain: string;
  private values: ReadonlyMap<string, unknown> = new Map();
  /** Those changed since loading began: what was read of them is old. */
  private readonly changed = new Map<string, unknown>();
  private loading: Promise<void> | undefined = undefined;
  private isLoaded = false;
  /** Raised with every change, for those who keep what they made of a value. */
  version = 0;

  constructor(store: Store, domain: string) {
    this.store = store;
    this.domain = domain;
  }

  /** Resolves when `get` may be called. Rejects where the store cannot be read; may be tried again. */
  async load(): Promise<void> {
    if (this.isLoaded) return;
    this.loading ??= this.read().catch((error: unknown) => {
      this.loading = undefined;
      throw error;
    });
    await this.loading;
  }

  /** Undefined where it is not set. Only after `load`. */
  get<T>({ name }: HostSetting<T>): T | undefined {
    return this.values.get(name) as T | undefined;
  }

  /** A command has changed it. */
  take(name: string, value: unknown): void {
    this.changed.set(name, value);
    this.apply();
  }

  private async read(): Promise<void> {
    const rows = await this.store.list(HOST_SETTINGS, this.domain);
    this.values = new Map(rows.map(({ key, value }) => [key[0] as string, value]));
    this.isLoaded = true;
    this.apply();
  }

  private apply(): void {
    if (!this.isLoaded) return;
    const values = new Map(this.values);
    for (const [name, value] of this.changed) {
      if (value === undefined) values.delete(name);
      else values.set(name, value);
    }
    this.changed.clear();
    this.values = values;
    this.version++;
  }
}

/** Tells a worker. */
export const TAKE_SETTING = workerOperation<{ domain: string; name: string; value: unknown }, null>(
  'host_settings.take',
  ({ hosts }, { domain, name, value }) => {
    hosts.get(domain)?.stored.take(name, value);
    return null;
  },
);

/** For commands. Undefined where it is not set. */
export async function readSetting<T>(server: Operations, domain: string, { name }: HostSetting<T>): Promise<T | undefined> {
  return (await server.store.get(HOST_SETTINGS, domain, [name])) as T | undefined;
}

/** For commands: writes it, then tells every worker. Undefined removes it. */
export async function writeSetting<T>(server: Operations, domain: string, { name }: HostSetting<T>, value: T | undefined): Promise<void> {
  const batch = new Batch(domain);
  if (value === undefined) batch.delete(HOST_SETTINGS, [name]);
  else batch.put(HOST_SETTINGS, [name], value);
  await server.store.commit(batch).promise;
  await server.everyWorker(TAKE_SETTING, { domain, name, value });
}
