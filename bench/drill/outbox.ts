/**
 * What a client has to send, as XEP-0198 has it counted.
 *
 *   queue    [ acknowledged ][ written, not acknowledged ][ not written ]
 *              dropped         resent after a resumption     waits for a connection
 */
import type { SentMessage } from './checker.ts';

interface Outgoing {
  readonly xml: string;
  /** Undefined for what belongs to its session and is not repeated in another. */
  readonly message: SentMessage | undefined;
  readonly sentAtMs: number;
  isWritten: boolean;
}

export class Outbox {
  /** The server's latest `h`. */
  private acknowledged = 0;
  private queue: Outgoing[] = [];
  /** Of `queue`, how many were written in this session. */
  private written = 0;

  /** Stanzas that are not acknowledged. */
  get size(): number {
    return this.queue.length;
  }

  /** @param message what is sent again in another session; undefined for what is not. */
  add(xml: string, message: SentMessage | undefined): void {
    this.queue.push({ xml, message, sentAtMs: Date.now(), isWritten: false });
  }

  /** All that is not written yet, which counts as written from now on. */
  take(): string {
    const { queue } = this;
    let text = '';
    for (; this.written < queue.length; this.written++) {
      const outgoing = queue[this.written]!;
      outgoing.isWritten = true;
      text += outgoing.xml;
    }
    return text;
  }

  /**
   * Everything that the server's `h` covers is the server's from now on.
   *
   * @returns what is wrong with it: such a count the server may not give.
   */
  acknowledge(h: number): string | undefined {
    const count = (h - this.acknowledged) >>> 0;
    if (count > this.written) {
      const wentBack = (this.acknowledged - h) >>> 0;
      this.acknowledged = h >>> 0; // the numbers of what is sent from now on continue the server's
      return wentBack < 0x8000_0000 ? `takes back ${wentBack} acknowledgements` : `acknowledges ${count} of ${this.written} stanzas`;
    }
    this.acknowledged = h >>> 0;
    for (const { message } of this.queue.splice(0, count)) if (message !== undefined) message.isAcknowledged = true;
    this.written -= count;
    return undefined;
  }

  /** The session goes on: what is left is sent again, in order. XEP-0198 §Resumption */
  rewind(): void {
    this.written = 0;
  }

  /** Another session: what belonged to the old one is void; its messages are sent again, with the time they were first sent at. XEP-0198 §Acks */
  beginAnew(first: string): void {
    const { queue } = this;
    this.acknowledged = 0;
    this.written = 0;
    this.queue = [];
    this.add(first, undefined);
    for (const { xml, message, sentAtMs, isWritten } of queue) {
      if (message === undefined) continue;
      if (isWritten) message.isResent = true;
      this.queue.push({ xml: isWritten ? withDelay(xml, sentAtMs) : xml, message, sentAtMs, isWritten });
    }
  }
}

/** XEP-0203: when it was sent at first. A message that is resent twice keeps the first time. */
function withDelay(xml: string, sentAtMs: number): string {
  if (xml.includes('urn:xmpp:delay')) return xml;
  return xml.replace('</message>', `<delay xmlns='urn:xmpp:delay' stamp='${new Date(sentAtMs).toISOString()}'/></message>`);
}
