/**
 * Accounts from a file of XEP-0227 into a store that nobody else uses. The file is read twice: first to find everything that
 * is wrong with it, while nothing has changed, then to take it. An account is disabled until its last row is written, so one
 * whose import was killed takes nobody in, neither its owner nor a stranger who registers the name.
 */
import { ACCOUNTS, CREDENTIALS, type AccountRow } from '../core/accounts.ts';
import type { ModuleSpec } from '../core/module.ts';
import type { ElementName, Portable, PortableReader } from '../core/portable.ts';
import { OperatorError } from '../kernel/errors.ts';
import type { PreparedPassword } from '../sasl/scram-credentials.ts';
import type { ScramRecord } from '../sasl/scram-record.ts';
import type { Store } from '../store/store.ts';
import type { Element } from '../xml/element.ts';
import type { Frame } from '../xml/frame.ts';
import { elementOf } from '../xml/tree.ts';
import { parseDateTime } from '../xmpp/date-time.ts';
import { makeJid, normalizeDomain, type Jid } from '../xmpp/jid.ts';
import { opaqueString } from '../xmpp/precis.ts';
import { accountsIn, badXml, type AccountPiece, type Place, type UserPiece } from './accounts-in.ts';
import { scramOf, scramOfPassword } from './credentials.ts';
import { LIMITS_OF_PIECE } from './document.ts';
import { beginLogImport, LOG_PORTABLE } from './log.ts';
import { currentNs, nameKey, NS_PIE_SCRAM, NS_ROOKERY } from './names.ts';
import { rawTables, readRawRows, type RawTables } from './raw-rows.ts';
import { ImportedAccount } from './rows.ts';

export interface ImportOptions {
  readonly store: Store;
  readonly file: string;
  readonly modules: readonly ModuleSpec[];
  /** Domains that are served. */
  readonly domains: readonly string[];
  /** Takes the place of the domains in the file. Addresses within the data stay what they are. */
  readonly domain?: string | undefined;
  /** Accounts that exist are removed first. */
  readonly isOverwriting: boolean;
  /** Hashes a password; several may be under way. */
  readonly derive: (password: PreparedPassword) => Promise<readonly ScramRecord[]>;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** As the server is configured; see AccountImport. */
  readonly maxStanzaBytes: number;
  readonly maxAnswerBytes: number;
}

export interface ImportReport {
  readonly accounts: number;
  /** Of them, those that existed. */
  readonly replaced: number;
  /** Elements that were taken. */
  readonly elements: number;
  /** Bare addresses of accounts without usable credentials: nobody can log in before a password is set. At most `MAX_LISTED`. */
  readonly withoutPassword: readonly string[];
  readonly withoutPasswordCount: number;
  /** What was not understood, wholly or in part, by `{namespace}name`, and how often. */
  readonly unknown: Readonly<Record<string, number>>;
}

/** Of each list in a report and in a message. */
export const MAX_LISTED = 100;
/** Kinds of unknown elements that are counted; the rest counts as one. */
const MAX_UNKNOWN = 1_000;
/** Accounts that wait for their password to be hashed. */
const MAX_HASHING = 16;

/**
 * @throws OperatorError ERR_IMPORT_FILE, ERR_IMPORT_XML (with file and line), ERR_HOST_UNKNOWN or ERR_ACCOUNT_EXISTS: nothing
 *   has changed then. StoreError, e.g. where the disk is full: accounts up to there are complete.
 */
export async function importAccounts(options: ImportOptions): Promise<ImportReport> {
  const importing = new Importing(options);
  await importing.survey();
  return importing.run();
}

class Importing {
  private readonly options: ImportOptions;
  private readonly portables: readonly Portable[];
  private readonly containers: readonly ElementName[];
  private readonly raw: RawTables;
  private readonly existing = new Set<string>();
  private readonly unknown = new Map<string, number>();
  private readonly withoutPassword: string[] = [];
  private withoutPasswordCount = 0;
  private accounts = 0;
  private elements = 0;

  constructor(options: ImportOptions) {
    this.options = options;
    this.portables = [...LOG_PORTABLE, ...options.modules.flatMap(({ portable = [] }) => portable)];
    this.containers = this.portables.flatMap(({ within }) => (within === undefined ? [] : [within]));
    this.raw = rawTables(options.modules);
  }

  /** Reads the whole file and changes nothing. */
  async survey(): Promise<void> {
    const { store, file, isOverwriting } = this.options;
    const seen = new Set<string>();
    for await (const piece of accountsIn(file, this.containers)) {
      if (piece.kind !== 'user') continue;
      const { bare } = this.addressOf(piece);
      if (seen.has(bare)) throw badXml(piece.place, `The account ${bare} is there twice.`);
      seen.add(bare);
      if ((await store.get(ACCOUNTS, bare, [])) !== undefined) this.existing.add(bare);
    }
    if (this.existing.size > 0 && !isOverwriting) throw accountsExist([...this.existing]);
  }

  async run(): Promise<ImportReport> {
    const hashing = new Set<Promise<void>>();
    let account: OneAccount | undefined;
    try {
      for await (const piece of accountsIn(this.options.file, this.containers)) {
        if (piece.kind === 'user') {
          account = new OneAccount(this.addressOf(piece), piece, this.options, this.portables, this.raw);
          await account.begin();
        } else if (piece.kind === 'element') {
          await this.take(account!, piece);
        } else if (piece.kind === 'stray') {
          this.noteUnknown(piece.name);
        } else {
          const finishing = this.finish(account!);
          account = undefined;
          hashing.add(finishing);
          finishing.then(
            () => hashing.delete(finishing),
            () => undefined, // whoever waits is told
          );
          if (hashing.size >= MAX_HASHING) await Promise.race(hashing);
        }
      }
      await Promise.all(hashing);
    } catch (error) {
      await Promise.allSettled(hashing);
      await account?.abandon();
      throw error;
    }
    return {
      accounts: this.accounts,
      replaced: this.existing.size,
      elements: this.elements,
      withoutPassword: this.withoutPassword,
      withoutPasswordCount: this.withoutPasswordCount,
      unknown: Object.fromEntries(this.unknown),
    };
  }

  private async take(account: OneAccount, { frame, within, place }: Extract<AccountPiece, { kind: 'element' }>): Promise<void> {
    const outcome = await account.take(frame, within, place);
    if (outcome) this.elements++;
    else this.noteUnknown(nameKey(frame.name, currentNs(frame.ns)));
  }

  private async finish(account: OneAccount): Promise<void> {
    const hasPassword = await account.end().catch(async (error: unknown) => {
      await account.abandon();
      throw error;
    });
    this.accounts++;
    if (hasPassword) return;
    this.withoutPasswordCount++;
    if (this.withoutPassword.length < MAX_LISTED) this.withoutPassword.push(account.rows.bare);
  }

  private noteUnknown(key: string): void {
    const counted = this.unknown.has(key) || this.unknown.size < MAX_UNKNOWN ? key : 'others';
    this.unknown.set(counted, (this.unknown.get(counted) ?? 0) + 1);
  }

  private addressOf({ name, host, place }: { readonly name: string; readonly host: string; readonly place: Place }): Jid {
    const domain = this.options.domain ?? host;
    const jid = makeJid(name, domain);
    if (jid === undefined || jid.local === '') throw badXml(place, `'${name}' at '${domain}' is not the address of an account.`);
    if (!this.options.domains.some((served) => normalizeDomain(served) === jid.domain)) throw hostUnknown(jid.domain, this.options.domains);
    return jid;
  }
}

/** One account while it is read. */
class OneAccount {
  readonly rows: ImportedAccount;
  private readonly options: ImportOptions;
  private readonly portables: readonly Portable[];
  private readonly raw: RawTables;
  private readonly readers = new Map<Portable, PortableReader>();
  private readonly scram = new Map<string, ScramRecord>();
  private readonly derived: Promise<readonly ScramRecord[]>;
  private row: AccountRow;

  constructor(jid: Jid, { password, archiveKey }: UserPiece, options: ImportOptions, portables: readonly Portable[], raw: RawTables) {
    this.rows = new ImportedAccount(options.store, jid, { ...options, nowMs: options.now() });
    beginLogImport(this.rows, archiveKey);
    this.options = options;
    this.portables = portables;
    this.raw = raw;
    this.row = { createdAtMs: this.rows.nowMs, isEnabled: true };
    this.derived = this.credentialsOf(password);
    this.derived.catch(() => undefined); // `end` tells
  }

  /** Whatever has the name is removed. */
  async begin(): Promise<void> {
    await this.options.store.erase(this.rows.bare).promise;
    this.rows.put(ACCOUNTS, [], { ...this.row, isEnabled: false });
    await this.rows.flush();
  }

  /** False for what is not understood. */
  async take(frame: Frame, within: string | undefined, place: Place): Promise<boolean> {
    const { name } = frame;
    const ns = currentNs(frame.ns);
    const portable = this.portables.find(
      ({ elements, within: container }) =>
        (container === undefined ? undefined : nameKey(...container)) === within &&
        elements.some((known) => known[0] === name && known[1] === ns),
    );
    const isOurs = within === undefined && (ns === NS_ROOKERY || ns === NS_PIE_SCRAM);
    if (portable === undefined && !isOurs) return false;
    const element = elementOf(frame, LIMITS_OF_PIECE);
    if (element === undefined) throw badXml(place, 'An element that cannot be read.');
    const outcome = portable === undefined ? this.takeOurs(element) : await this.readerOf(portable).take(element);
    await this.rows.flush(false);
    return outcome;
  }

  /** The account is complete. False where nobody can log in to it. */
  async end(): Promise<boolean> {
    await this.rows.flush();
    for (const reader of this.readers.values()) await reader.end?.();
    for (const record of await this.derived) this.scram.set(record.hash, record);
    for (const record of this.scram.values()) this.rows.put(CREDENTIALS, [record.hash], record);
    await this.rows.flush();
    this.rows.put(ACCOUNTS, [], this.row); // last: now it can be used
    await this.rows.flush();
    return this.scram.size > 0;
  }

  async abandon(): Promise<void> {
    await this.options.store.erase(this.rows.bare).promise;
  }

  private readerOf(portable: Portable): PortableReader {
    let reader = this.readers.get(portable);
    if (reader === undefined) {
      reader = portable.read(this.rows);
      this.readers.set(portable, reader);
    }
    return reader;
  }

  private takeOurs(element: Element): boolean {
    if (element.is('scram-credentials', NS_PIE_SCRAM)) {
      const record = scramOf(element);
      if (record !== undefined) this.scram.set(record.hash, record);
      return record !== undefined;
    }
    if (element.is('rows', NS_ROOKERY)) return readRawRows(element, this.rows, this.raw);
    if (!element.is('account', NS_ROOKERY)) return false;
    const createdAtMs = parseDateTime(element.attr('created') ?? '') ?? this.row.createdAtMs;
    this.row = { createdAtMs, isEnabled: element.attr('enabled') !== 'false' };
    return true;
  }

  /** §4.2: the password itself, where it is known, makes all the forms that are kept here. */
  private async credentialsOf(password: string | undefined): Promise<readonly ScramRecord[]> {
    if (password === undefined || password === '') return [];
    const hashed = scramOfPassword(password);
    if (hashed !== undefined) return [hashed];
    const prepared = opaqueString(password);
    return prepared === undefined ? [] : this.options.derive(prepared);
  }
}

function accountsExist(addresses: readonly string[]): OperatorError {
  const more = addresses.length > 3 ? ` and ${addresses.length - 3} more` : '';
  return new OperatorError(
    'ERR_ACCOUNT_EXISTS',
    `${addresses.slice(0, 3).join(', ')}${more} exist${addresses.length === 1 ? 's' : ''} already. Nothing was imported; --overwrite removes what is there first.`,
  );
}

function hostUnknown(domain: string, domains: readonly string[]): OperatorError {
  return new OperatorError(
    'ERR_HOST_UNKNOWN',
    `The file has accounts of '${domain}', and this server serves only ${domains.join(', ')}. Nothing was imported; add the domain to ROOKERY_DOMAIN, or choose one with --host.`,
  );
}
