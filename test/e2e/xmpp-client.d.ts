/** As much of @xmpp/client, which has no types of its own, as the tests use. */
declare module '@xmpp/client' {
  interface FastToken {
    readonly mechanism: string;
    readonly token: string;
    readonly expiry: string;
  }
  interface Client {
    readonly fast: { fetchToken(): Promise<FastToken | undefined>; saveToken(token: FastToken): Promise<void> };
    readonly streamManagement: {
      readonly enabled: boolean;
      readonly id: string;
      on(event: 'ack' | 'fail', listener: (stanza: unknown) => void): void;
      once(event: 'resumed', listener: () => void): void;
    };
    /** The client's own, around that of Node. */
    readonly socket: { readonly socket: { destroy(): void } };
    readonly reconnect: { stop(): void; delay: number };
    readonly iqCaller: { get(payload: unknown): Promise<unknown>; set(payload: unknown): Promise<unknown> };
    start(): Promise<unknown>;
    stop(): Promise<unknown>;
    send(stanza: unknown): Promise<void>;
    on(event: string, listener: (value: unknown) => void): void;
    once(event: string, listener: (error: Error) => void): void;
    removeListener(event: string, listener: (value: unknown) => void): void;
  }
  export function client(options: {
    service: string;
    domain: string;
    resource: string;
    username: string;
    password: string;
    userAgent?: unknown;
  }): Client;
  export function xml(name: string, attrs?: string | Record<string, string>, ...children: unknown[]): unknown;
}

/** The same of @xmpp/component. */
declare module '@xmpp/component' {
  interface Component {
    readonly reconnect: { stop(): void; delay: number };
    readonly iqCaller: { get(payload: unknown, to: string): Promise<unknown> };
    readonly iqCallee: { get(ns: string, name: string, handler: (context: { readonly stanza: unknown }) => unknown): void };
    start(): Promise<unknown>;
    stop(): Promise<unknown>;
    send(stanza: unknown): Promise<void>;
    on(event: string, listener: (value: unknown) => void): void;
    once(event: string, listener: (error: Error) => void): void;
    removeListener(event: string, listener: (value: unknown) => void): void;
  }
  export function component(options: { service: string; domain: string; password: string }): Component;
}
