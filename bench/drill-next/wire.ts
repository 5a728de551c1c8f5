/** One connection of a drill's client: bytes to frames, and what a drill does to sockets. */
import { connect, type Socket } from 'node:net';
import { Framer } from '../../src/xml/framer.ts';
import type { Frame } from '../../src/xml/frame.ts';
import { LIMITS_OF_SERVER } from '../../src/xml/limits.ts';

export interface Target {
  readonly host: string;
  readonly port: number;
  readonly domain: string;
}

/** Negotiation that takes longer is given up and tried again. */
const STEP_MS = 10_000;
/** How long the old socket of a half-open connection stays, unread. */
const ABANDONED_MS = 20_000;

interface Waiter {
  readonly resolve: (frame: Frame) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

/** Where frames go once negotiation is over. */
export interface FrameSink {
  /** False: look at no more of them. */
  frame(frame: Frame): boolean;
  /** Once, last. */
  closed(reason: string): void;
}

export class Wire {
  private readonly socket: Socket;
  private framer = new Framer({ limits: LIMITS_OF_SERVER });
  private waiter: Waiter | undefined;
  private sink: FrameSink | undefined;
  private over: string | undefined;
  private isPumping = false;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => {
      this.framer.push(chunk);
      this.pump();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => this.end(error.code ?? error.message));
    socket.on('close', () => this.end('closed by the server'));
  }

  static open({ host, port }: Target): Promise<Wire> {
    return new Promise((resolve, reject) => {
      const socket = connect(port, host);
      const timer = setTimeout(() => socket.destroy(new Error('no connection in time')), STEP_MS);
      socket.once('error', (error) => {
        clearTimeout(timer);
        reject(error);
      });
      socket.once('connect', () => {
        clearTimeout(timer);
        socket.removeAllListeners('error');
        resolve(new Wire(socket));
      });
    });
  }

  write(xml: string): void {
    if (this.over === undefined) this.socket.write(xml);
  }

  /** The next frame, during negotiation. Rejects when the connection is over, or none has come for ten seconds. */
  next(): Promise<Frame> {
    return new Promise((resolve, reject) => {
      if (this.over !== undefined) {
        reject(new Error(this.over));
        return;
      }
      const timer = setTimeout(() => this.destroy('nothing came for too long'), STEP_MS);
      this.waiter = { resolve, reject, timer };
      this.pump();
    });
  }

  /** A new stream begins on the same connection. RFC 6120 §4.3.3 */
  restart(): void {
    this.framer.restart();
  }

  /** Negotiation is over: all further frames go to `sink`. */
  flow(sink: FrameSink): void {
    this.sink = sink;
    if (this.over === undefined) this.pump();
    else sink.closed(this.over);
  }

  /** Cuts the connection: what was received and not looked at yet is lost. */
  destroy(reason: string): void {
    this.end(reason);
    this.socket.destroy();
  }

  /** The client's end falls silent: it reads and writes nothing more, but the server is not told. */
  abandon(reason: string): void {
    this.end(reason);
    this.socket.removeAllListeners('data');
    this.socket.pause();
    this.socket.unref();
    setTimeout(() => this.socket.destroy(), ABANDONED_MS).unref();
  }

  private pump(): void {
    if (this.isPumping) return;
    this.isPumping = true;
    try {
      while (this.over === undefined && (this.sink !== undefined || this.waiter !== undefined)) {
        const frame = this.framer.next();
        if (frame === undefined) return;
        if (frame.kind === 'error') {
          this.destroy(`the server sent XML that is wrong: ${frame.condition}, ${frame.text}`);
          return;
        }
        if (this.sink !== undefined) {
          if (!this.sink.frame(frame)) return;
          continue;
        }
        const { resolve, timer } = this.waiter!;
        clearTimeout(timer);
        this.waiter = undefined;
        resolve(frame);
      }
    } finally {
      this.isPumping = false;
    }
  }

  private end(reason: string): void {
    if (this.over !== undefined) return;
    this.over = reason;
    const { waiter, sink } = this;
    this.waiter = undefined;
    if (waiter !== undefined) {
      clearTimeout(waiter.timer);
      waiter.reject(new Error(reason));
    }
    sink?.closed(reason);
  }
}

/** The value of an attribute, or undefined. */
export function attribute(frame: Frame, name: string): string | undefined {
  for (let i = 0; i < frame.attrs.length; i += 2) if (frame.attrs[i] === name) return frame.attrs[i + 1];
  return undefined;
}
