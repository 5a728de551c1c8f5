/** What a transcript is played against: our server in memory, or any server over TCP. */
import type { ConfigValues } from '../../src/config/config.ts';

/** One connection as the client's end sees it: text out, text in. */
export interface RawConnection {
  write(text: string): void;
  /** Both are set once, before anything is written. `closed` comes once, last. */
  setHandlers(text: (text: string) => void, closed: () => void): void;
  /** Turns on TLS after a `<proceed/>`; the certificate is not checked. */
  startTls(): Promise<void>;
  /** Says that nothing more will be written. */
  end(): void;
  /** Breaks the connection. */
  destroy(): void;
  /** Reads nothing any more, so that what the server sends piles up there. */
  stall(): void;
}

/** The external component that servers under test know. XEP-0114 */
export const COMPONENT = { domain: 'gateway.capulet.lit', secret: 'a plague o’ both your houses' };

/** A server under test. */
export interface Target extends AsyncDisposable {
  readonly domain: string;
  /** True where `advance` works: time is the test's. */
  readonly hasFakeClock: boolean;
  /** True for a server that exists for this transcript alone: its names need no random part, and nothing has to be tidied up. */
  readonly isOwn: boolean;
  /** True for our implementation: it is held to our choices, too, where the RFCs leave one. Default: as `isOwn`. */
  readonly isOurs?: boolean;
  /** How long clients wait for what has to come; default: 4 seconds. */
  readonly deadlineMs?: number | undefined;
  connect(): Promise<RawConnection>;
  /** A connection to where external components connect, and who may; undefined where it has none. XEP-0114 */
  connectComponent?(protocol?: 'component' | 'router'): Promise<RawConnection>;
  createAccount(local: string, password: string): Promise<void>;
  removeAccount(local: string, password: string): Promise<void>;
  /** Resolves when the server has nothing left to do but wait; at once where that cannot be known. */
  settle(): Promise<void>;
  /** Milliseconds. */
  advance(ms: number): Promise<void>;
  /** Another server over what this one has stored; this one is gone without having been told. Only for our own. */
  restarted?(): Promise<Target>;
}

/** What a transcript may ask of its server. */
export interface TargetOptions {
  /** Settings of our server. A transcript with any is not played against others. */
  readonly config?: ConfigValues | undefined;
  /** Module sections as in the configuration file's `[modules]`, e.g. `{ version: { os: 'Plan 9' } }`, or `'off'`. Likewise. */
  readonly modules?: Readonly<Record<string, Readonly<Record<string, unknown>> | 'off'>> | undefined;
}
