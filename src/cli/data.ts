/** `rookery backup`, `restore`, `export` and `import`: what a server keeps, out and in. */
import { once } from 'node:events';
import { open, rename, rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { Config } from '../config/config.ts';
import { callControl, streamControl } from '../control/client.ts';
import { backup, exportAccount } from '../commands/process.ts';
import type { BackupResult } from '../core/server-status.ts';
import { OperatorError } from '../kernel/errors.ts';
import { printable, type CliIo, type Output } from './io.ts';
import { humanBytes } from './table.ts';

/** What is done in this process, on a data directory that no server uses. Each throws OperatorError ERR_CONTROL_IN_USE where one does. */
export interface DataTools {
  backUp(config: Config, directory: string): Promise<BackupResult>;
  restore(config: Config, directory: string, isReplacing: boolean): Promise<RestoreResult>;
  exportAccount(config: Config, address: string): AsyncIterable<string>;
  importAccounts(config: Config, options: ImportRequest): Promise<ImportResult>;
}

export interface RestoreResult {
  readonly accounts: number;
  readonly bytes: number;
  /** When the backup was made, and by which release. */
  readonly createdAt: string;
  readonly version: string;
  /** Where what was there is now. */
  readonly replaced: string | undefined;
  readonly unknown: Readonly<Record<string, number>>;
}

export interface ImportRequest {
  readonly file: string;
  readonly domain: string | undefined;
  readonly isOverwriting: boolean;
}

export interface ImportResult {
  readonly accounts: number;
  readonly replaced: number;
  readonly elements: number;
  /** Some of them; the count is of all. */
  readonly withoutPassword: readonly string[];
  readonly withoutPasswordCount: number;
  readonly unknown: Readonly<Record<string, number>>;
}

/** What the commands need of the command line around them. */
export interface DataCommandContext {
  readonly io: CliIo;
  readonly tools: DataTools | undefined;
  /** Of the control socket. */
  readonly controlPath: () => string;
  readonly config: () => Config;
  readonly complete: (address: string) => string;
  readonly print: (lines: readonly string[]) => void;
}

export function addDataCommands(program: Command, context: DataCommandContext): void {
  const { io, print } = context;
  const tools = (): DataTools => {
    if (context.tools === undefined) throw new Error('this program has no tools for data');
    return context.tools;
  };

  program
    .command('backup')
    .description(backup.summary)
    .argument('<directory>', 'new or empty')
    .action(async (given: string) => {
      const directory = resolve(given);
      const online = await ifRunning(() => callControl(context.controlPath(), 'backup', { directory }));
      const { accounts, bytes, durationMs } = online ?? (await tools().backUp(context.config(), directory));
      const seconds = (durationMs / 1_000).toFixed(1);
      print([`Backed up ${counted(accounts, 'account')}, ${humanBytes(bytes)}, in ${seconds} s: ${printable(directory)}`]);
    });

  program
    .command('restore')
    .description('Put a backup in place of a stopped server’s data')
    .argument('<directory>', 'of the backup')
    .option('--replace', 'move aside what is in the data directory')
    .action(async (given: string, { replace }: { replace?: true }) => {
      const result = await tools().restore(context.config(), resolve(given), replace === true);
      const { accounts, bytes, createdAt, version, replaced, unknown } = result;
      print([
        `Restored ${counted(accounts, 'account')}, ${humanBytes(bytes)}, backed up ${printable(createdAt)} by Rookery ${printable(version)}.`,
        ...(replaced === undefined ? [] : [`What was there is in ${printable(replaced)}; remove it when you are sure.`]),
        ...listUnknown('Kept, but unknown to this release:', 'rows of', unknown),
      ]);
    });

  program
    .command('export')
    .description(exportAccount.summary)
    .argument('<address>')
    .argument('[file]', 'new; standard output without it')
    .action(async (given: string, file: string | undefined) => {
      const address = context.complete(given);
      await using pieces = await exported(context, tools, address);
      if (file === undefined) for await (const text of pieces) await writeOut(io.stdout, text);
      else print([`Exported ${printable(address)}, ${humanBytes(await writeFile(resolve(file), pieces))}: ${printable(file)}`]);
    });

  program
    .command('import')
    .description('Create accounts from XEP-0227, server stopped')
    .argument('<file>', 'of this or another server')
    .option('--host <domain>', 'create them there, whatever domain the file says')
    .option('--overwrite', 'remove accounts that exist, with all they have, first')
    .action(async (file: string, { host, overwrite }: { host?: string; overwrite?: true }) => {
      const request = { file: resolve(file), domain: host, isOverwriting: overwrite === true };
      print(describeImport(await tools().importAccounts(context.config(), request)));
    });
}

/** `undefined` where no server runs. */
async function ifRunning<T>(run: () => Promise<T>): Promise<T | undefined> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof OperatorError && error.code === 'ERR_NOT_RUNNING') return undefined;
    throw error;
  }
}

/** Whether there is anything to write is known before a file is made for it. */
async function exported(context: DataCommandContext, tools: () => DataTools, address: string): Promise<Pieces> {
  const never = new AbortController().signal;
  const online = textsOf(streamControl(context.controlPath(), 'export', { address }, never));
  const first = await ifRunning(() => online.next());
  if (first !== undefined) return new Pieces(first, online);
  const offline = tools().exportAccount(context.config(), address)[Symbol.asyncIterator]();
  return new Pieces(await offline.next(), offline);
}

async function* textsOf(items: AsyncIterable<{ readonly text: string }>): AsyncGenerator<string, undefined> {
  for await (const { text } of items) yield text;
  return undefined;
}

/** A document whose first piece is there. Disposing of it frees what the rest would come from, read or not. */
class Pieces implements AsyncDisposable {
  private readonly first: IteratorResult<string, unknown>;
  private readonly rest: AsyncIterator<string, unknown>;

  constructor(first: IteratorResult<string, unknown>, rest: AsyncIterator<string, unknown>) {
    this.first = first;
    this.rest = rest;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<string> {
    for (let step = this.first; step.done !== true; step = await this.rest.next()) yield step.value;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.rest.return?.();
  }
}

/** For this user only (XEP-0227 §6), and there only when it is complete. */
async function writeFile(path: string, pieces: AsyncIterable<string>): Promise<number> {
  const draft = `${path}.partial`;
  const file = await orFileError(path, async () => {
    await (await open(path, 'wx', 0o600)).close(); // the name is taken from now on
    return open(draft, 'wx', 0o600);
  });
  let bytes = 0;
  try {
    for await (const text of pieces) bytes += await orFileError(path, async () => (await file.write(text)).bytesWritten);
    await orFileError(path, async () => {
      await file.sync();
      await file.close();
      await rename(draft, path);
    });
    return bytes;
  } catch (error) {
    await file.close().catch(() => undefined); // it may be closed already
    await rm(draft, { force: true });
    await rm(path, { force: true });
    throw error;
  }
}

async function orFileError<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why = code === 'EEXIST' ? 'it is there already' : String(code);
    throw new OperatorError('ERR_EXPORT_FILE', `${path} cannot be written: ${why}. Name a new file on a disk with room.`, { cause: error });
  }
}

/** Waits where the reader of a pipe is slower. */
async function writeOut(stdout: Output, text: string): Promise<void> {
  const isTaken = stdout.write(text) as unknown;
  if (isTaken === false && 'once' in stdout) await once(stdout as never, 'drain');
}

function describeImport({ accounts, replaced, elements, withoutPassword, withoutPasswordCount, unknown }: ImportResult): string[] {
  const more = withoutPasswordCount - withoutPassword.length;
  return [
    `Imported ${counted(accounts, 'account')}${replaced > 0 ? `, ${replaced} in place of what was there` : ''}, with ${counted(elements, 'element')}.`,
    ...(withoutPasswordCount === 0
      ? []
      : [
          `Without a password that can be used, so nobody can log in before you set one (rookery user passwd):`,
          ...withoutPassword.map((address) => `  ${printable(address)}`),
          ...(more > 0 ? [`  … and ${more} more`] : []),
        ]),
    ...listUnknown('Not understood, and left out, wholly or in part:', 'times', unknown),
  ];
}

function listUnknown(title: string, unit: string, counts: Readonly<Record<string, number>>): string[] {
  const entries = Object.entries(counts).sort(([, one], [, other]) => other - one);
  return entries.length === 0 ? [] : [title, ...entries.map(([name, count]) => `  ${count} ${unit} ${printable(name)}`)];
}

function counted(count: number, what: string): string {
  return count === 1 ? `1 ${what}` : `${count} ${what}s`;
}
