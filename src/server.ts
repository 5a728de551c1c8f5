/**
 * The server as a library: for programs that embed one, and for other people's tests.
 *
 *     await using server = await startServer({ domains: ['localhost'] });
 *     await server.createAccount('juliet@localhost', 'secret');
 *     // connect a client to server.port, trusting server.certificate
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import type { ConfigValues } from './config/config.ts';
import { loadConfig } from './config/load.ts';
import { derive, verify } from './pool.ts';
import { runCommand, serverCommands } from './server/commands.ts';
import { LocalWorker } from './server/local-worker.ts';
import { MODULES } from './modules/index.ts';
import { moduleSchemas } from './server/module-schemas.ts';
import { ServerOperations } from './server/operations.ts';
import { makeSecret } from './server/server.ts';
import { checkServices, prepareTls } from './server/startup.ts';
import type { MainControl } from './server/worker-control.ts';
import { openMemory } from './store/memory.ts';
import { parseJid, type Jid } from './xmpp/jid.ts';
import { opaqueString } from './xmpp/precis.ts';

export type { ConfigValues } from './config/config.ts';
export { ConfigError } from './config/error.ts';

/** What a test wants unless it says otherwise: loopback, any free port, no log, cheap passwords. */
const EMBEDDED: ConfigValues = {
  domains: ['localhost'],
  listen: ['127.0.0.1'],
  c2s: { ports: [0], tlsPorts: [0] },
  s2s: { isEnabled: false, ports: [0] },
  accounts: { scramIterations: 4_096 },
  log: { level: 'silent' },
};

export interface EmbeddedOptions {
  /** Takes the server's log, line by line, as JSON. Without it nothing is logged. */
  readonly onLog?: (line: string) => void;
}

/** A server in this process, with its data in memory: it forgets everything when it stops. */
export class EmbeddedServer implements AsyncDisposable {
  /** For clients with STARTTLS. */
  readonly port: number;
  /** For clients with TLS from the first byte. */
  readonly tlsPort: number;
  /** PEM of the certificate the server made for itself: what clients have to trust. */
  readonly certificate: string;
  private readonly worker: LocalWorker;
  private readonly directory: string;
  private readonly iterations: number;

  /** @internal use `startServer` */
  constructor(worker: LocalWorker, directory: string, certificate: string, iterations: number) {
    this.worker = worker;
    this.directory = directory;
    this.certificate = certificate;
    this.iterations = iterations;
    this.port = worker.ports.c2s[0] ?? 0;
    this.tlsPort = worker.ports.c2sTls[0] ?? 0;
  }

  /**
   * Creates an account; throws an Error where the address or password is none, or the account exists.
   *
   * @param address bare JID, e.g. 'juliet@localhost'
   */
  async createAccount(address: string, password: string): Promise<void> {
    const prepared = opaqueString(password);
    if (prepared === undefined) throw new Error('this password is empty or has characters that are not allowed');
    const scram = derive({ password: prepared, iterations: this.iterations });
    const answer = await this.worker.control.ask(accountOf(address).bare, { kind: 'create_account', scram });
    if (answer !== 'created') throw new Error(`the account ${address} exists already`);
  }

  /** Removes the account with all it has; false where there is none. */
  async removeAccount(address: string): Promise<boolean> {
    return (await this.worker.control.ask(accountOf(address).bare, { kind: 'remove_account' })) === 'removed';
  }

  /** Ends all sessions and frees the ports. */
  async stop(): Promise<void> {
    await this.worker.stop();
    await rm(this.directory, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/**
 * Starts a server in this process, in this thread.
 *
 * @param values what differs from the defaults: any part of the configuration, in its own types (milliseconds, bytes).
 * @throws ConfigError where a value cannot be used; Error where a port cannot be opened.
 */
export async function startServer(values: ConfigValues = {}, { onLog }: EmbeddedOptions = {}): Promise<EmbeddedServer> {
  const directory = await mkdtemp(join(tmpdir(), 'rookery-'));
  try {
    const { config } = loadConfig({
      env: {},
      values: {
        ...EMBEDDED,
        ...values,
        c2s: { ...EMBEDDED.c2s, ...values.c2s },
        s2s: { ...EMBEDDED.s2s, ...values.s2s },
        accounts: { ...EMBEDDED.accounts, ...values.accounts },
        log: { level: onLog === undefined ? 'silent' : 'info', ...values.log },
        dataDir: directory,
        workers: { ...values.workers, count: 1 },
      },
      modules: moduleSchemas(),
    });
    if (config.hosts.length === 0) throw new Error('domains: name at least one domain to serve');
    checkServices(config, MODULES);
    const tls = prepareTls(config);
    const main: MainControl = {
      derive: async (password, iterations) => derive({ password, iterations }),
      verify: async (password, record) => verify({ password, record }),
      log: (lines) => lines.forEach((line) => onLog?.(line)),
      command: (name, args, caller) => runCommand(commands, { name, args, caller }, () => operations, worker.service.logger),
    };
    const store = openMemory();
    const commands = serverCommands();
    const worker: LocalWorker = new LocalWorker({
      start: {
        index: 0,
        workers: 1,
        config,
        tlsHosts: tls.hosts,
        ticketSecret: randomBytes(32),
        secret: makeSecret(),
        heartbeat: new SharedArrayBuffer(8),
      },
      main,
      store,
    });
    const pool = { derive: main.derive, verify: main.verify };
    const operations = new ServerOperations({ config, store, pool, reachable: [worker.control], process: undefined });
    await worker.start();
    const certificate = await readFile(tls.hosts[0]!.certificateFile, 'utf8');
    return new EmbeddedServer(worker, directory, certificate, config.accounts.scramIterations);
  } catch (error) {
    await rm(directory, { recursive: true, force: true });
    throw error;
  }
}

function accountOf(address: string): Jid {
  const jid = parseJid(address);
  if (jid === undefined || jid.local === '' || jid.resource !== '')
    throw new Error(`'${address}' is not the address of an account, such as juliet@localhost`);
  return jid;
}
