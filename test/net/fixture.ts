/** Listeners on loopback, owners that record what they are told, and clients. Nothing here waits for time to pass. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { connect } from 'node:net';
import type { NetConnectOpts, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import type { TestContext } from 'node:test';
import { systemClock } from '../../src/kernel/clock.ts';
import { Admission, DEFAULT_ADMISSION_LIMITS } from '../../src/net/admission.ts';
import type { AdmissionLimits } from '../../src/net/admission.ts';
import type { TlsHost } from '../../src/net/credentials.ts';
import { FlushQueue } from '../../src/net/flush-queue.ts';
import { listen } from '../../src/net/listener.ts';
import type { Listener, ListenOptions } from '../../src/net/listener.ts';
import { makeSelfSigned } from '../../src/net/self-signed.ts';
import { makeTlsSettings, TlsContexts } from '../../src/net/tls-context.ts';
import type { TlsSettings } from '../../src/net/tls-context.ts';
import type { Transport, TransportHandlers } from '../../src/net/transport.ts';

/** Conditions that come true because of what a socket tells. */
class Watched {
  #waiting: { isTrue: () => boolean; resolve: () => void }[] = [];

  changed(): void {
    this.#waiting = this.#waiting.filter(({ isTrue, resolve }) => {
      if (!isTrue()) return true;
      resolve();
      return false;
    });
  }

  until(isTrue: () => boolean): Promise<void> {
    if (isTrue()) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ isTrue, resolve }));
  }
}

/** Owns a transport and writes down what happens to it. */
export class Owner implements TransportHandlers {
  readonly transport: Transport;
  readonly events: string[] = [];
  readonly chunks: Buffer[] = [];
  error: Error | undefined;
  isClosed = false;
  isSecure = false;
  drains = 0;
  /** Called with each chunk as it comes. */
  onBytes: ((chunk: Buffer) => void) | undefined;
  readonly #watched = new Watched();

  constructor(transport: Transport) {
    this.transport = transport;
    transport.setHandlers(this);
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString();
  }

  bytes(chunk: Buffer): void {
    this.events.push('bytes');
    this.chunks.push(chunk);
    this.onBytes?.(chunk);
    this.#watched.changed();
  }

  secure(): void {
    this.events.push('secure');
    this.isSecure = true;
    this.#watched.changed();
  }

  drained(): void {
    this.events.push('drained');
    this.drains++;
    this.#watched.changed();
  }

  closed(error: Error | undefined): void {
    this.events.push('closed');
    this.isClosed = true;
    this.error = error;
    this.#watched.changed();
  }

  until(isTrue: () => boolean): Promise<void> {
    return this.#watched.until(isTrue);
  }

  received(text: string): Promise<void> {
    return this.until(() => this.text.includes(text));
  }

  closing(): Promise<void> {
    return this.until(() => this.isClosed);
  }
}

export type ServeOptions = Partial<Omit<ListenOptions, 'admission'>> & { admission?: Partial<AdmissionLimits> };

export interface Serving {
  readonly listener: Listener;
  readonly flushQueue: FlushQueue;
  readonly admission: Admission;
  readonly port: number;
  /** The owner of the next connection. */
  accepted(): Promise<Owner>;
}

/** Listens on a port of 127.0.0.1 until the test is over. */
export async function serve(t: TestContext, { admission: limits, ...options }: ServeOptions = {}): Promise<Serving> {
  const waiting: ((owner: Owner) => void)[] = [];
  const owners: Owner[] = [];
  const all: Transport[] = [];
  const flushQueue = options.flushQueue ?? new FlushQueue();
  const admission = new Admission({ ...DEFAULT_ADMISSION_LIMITS, ...limits }, options.clock ?? systemClock);
  const listener = await listen({
    hosts: ['127.0.0.1'],
    port: 0,
    setting: 'ROOKERY_C2S_PORT',
    kind: 'starttls',
    accept(transport) {
      all.push(transport);
      const owner = new Owner(transport);
      const next = waiting.shift();
      if (next === undefined) owners.push(owner);
      else next(owner);
    },
    ...options,
    flushQueue,
    admission,
  });
  if (listener.kind !== 'listener') throw new Error(listener.text);
  t.after(() => {
    listener.close();
    for (const transport of all) transport.destroy();
  });
  return {
    listener,
    flushQueue,
    admission,
    port: listener.port,
    accepted: () => {
      const owner = owners.shift();
      return owner === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(owner);
    },
  };
}

/** A client that collects what it receives. */
export class Client<S extends Socket = Socket> {
  readonly socket: S;
  text = '';
  chunks = 0;
  error: (Error & { code?: string }) | undefined;
  hasEnded = false;
  isClosed = false;
  readonly #watched = new Watched();

  constructor(t: TestContext, socket: S) {
    this.socket = socket;
    // Not at once: a test may end within a callback of OpenSSL, and Node 26.10 crashes if the socket below a TLS socket goes first there.
    t.after(() => void setImmediate(() => socket.destroy()));
    socket.on('data', (chunk: Buffer) => {
      this.text += chunk.toString();
      this.chunks++;
      this.#watched.changed();
    });
    socket.on('end', () => {
      this.hasEnded = true;
      this.#watched.changed();
    });
    socket.on('error', (error) => {
      this.error = error;
      this.#watched.changed();
    });
    socket.on('close', () => {
      this.isClosed = true;
      this.#watched.changed();
    });
  }

  until(isTrue: () => boolean): Promise<void> {
    return this.#watched.until(isTrue);
  }

  received(text: string): Promise<void> {
    return this.until(() => this.text.includes(text));
  }

  closing(): Promise<void> {
    return this.until(() => this.isClosed);
  }
}

export async function connectPlain(t: TestContext, port: number, options: Partial<NetConnectOpts> = {}): Promise<Client> {
  const client = new Client(t, connect({ port, host: '127.0.0.1', ...options } as NetConnectOpts));
  await once(client.socket, 'connect');
  return client;
}

/** Connects with TLS from the first byte, or over `options.socket`; rejects when the handshake fails. */
export async function connectSecure(t: TestContext, port: number, options: ConnectionOptions = {}): Promise<Client<TLSSocket>> {
  const target = options.socket === undefined ? { port, host: '127.0.0.1' } : {};
  const client = new Client(t, connectTls({ ...target, servername: 'capulet.lit', rejectUnauthorized: false, ...options }));
  await once(client.socket, 'secureConnect');
  return client;
}

/** Certificates in a directory of their own. */
export class Certificates {
  readonly directory: string;

  constructor(t: TestContext) {
    this.directory = mkdtempSync(join(tmpdir(), 'rookery-net-'));
    t.after(() => rmSync(this.directory, { recursive: true }));
  }

  /** Writes a certificate under the name, covering the domains; a second time it replaces the first. */
  write(name: string, ...domains: readonly string[]): string {
    const { certificate, key } = makeSelfSigned(domains);
    writeFileSync(join(this.directory, `${name}.crt`), certificate);
    writeFileSync(join(this.directory, `${name}.key`), key);
    return certificate;
  }

  file(name: string): string {
    return join(this.directory, name);
  }

  host(domain: string, name = domain): TlsHost {
    return { domain, certificateFile: this.file(`${name}.crt`), keyFile: this.file(`${name}.key`) };
  }
}

/** Contexts for capulet.lit, and the certificate. */
export function makeTls(
  t: TestContext,
  overrides: Partial<TlsSettings> = {},
): { tls: TlsContexts; certificate: string; certificates: Certificates } {
  const certificates = new Certificates(t);
  const certificate = certificates.write('capulet.lit', 'capulet.lit');
  return { tls: loadTls(makeTlsSettings([certificates.host('capulet.lit')], overrides)), certificate, certificates };
}

export function loadTls(settings: TlsSettings): TlsContexts {
  const { contexts, problems } = TlsContexts.load(settings);
  if (contexts === undefined || problems.length > 0) throw new Error(problems.map(({ text }) => text).join('; '));
  return contexts;
}
