/** Messages made of bytes that were made before: only the number in the id changes from one to the next. */
import type { LoadClient } from './client.ts';

/** As many digits as a number of an id has. */
const DIGITS = 9;

/** A message whose id is `token`, `-` and a number. */
export class Template {
  readonly bytes: Buffer;
  private readonly digits: number;

  constructor(to: string, token: string, body: string) {
    const before = `<message to='${to}' type='chat' id='${token}-`;
    this.bytes = Buffer.from(`${before}${'0'.repeat(DIGITS)}'><body>${body}</body></message>`);
    this.digits = Buffer.byteLength(before);
  }

  /** Writes the message of a number, which is below 10^9, into `target`; where it ends. */
  copy(target: Buffer, at: number, number: number): number {
    target.set(this.bytes, at);
    let left = number;
    for (let digit = at + this.digits + DIGITS - 1; left > 0; digit--) {
      target[digit] = 0x30 + (left % 10);
      left = Math.floor(left / 10);
    }
    return at + this.bytes.length;
  }
}

const CAPACITY = 64 * 1024;

/** Gathers messages to one client's server and sends them in one write. A thread needs one of it. */
export class Outbox {
  private buffer = Buffer.allocUnsafeSlow(CAPACITY);
  private length = 0;

  /** `client` has to be the same until `flush`. */
  add(client: LoadClient, template: Template, number: number): void {
    if (this.length + template.bytes.length > CAPACITY) this.flush(client);
    this.length = template.copy(this.buffer, this.length, number);
  }

  flush(client: LoadClient): void {
    if (this.length === 0) return;
    const hasLeft = client.send(this.buffer.subarray(0, this.length));
    this.length = 0;
    if (!hasLeft) this.buffer = Buffer.allocUnsafeSlow(CAPACITY);
  }
}
