/**
 * The block cipher Speck128/128 (Beaulieu et al., "The SIMON and SPECK Families of Lightweight Block Ciphers", 2013):
 * a permutation of 16-byte blocks under a 16-byte key. It holds nothing but its key, so there can be one per account; round
 * keys are made along with each block. JavaScript has no 64-bit integers worth using, so every word is two halves of 32 bits,
 * and what the lower ones carry is found by their bits: sums beyond 32 bits would be floating-point numbers, two and a half times as slow.
 */

const ROUNDS = 32;

/** A block as its two words, each as high and low half. Overwritten in place. */
export type Block = Int32Array;

/** Round keys for taking a block back, which needs the last one first. Filled anew each time. */
const roundKeys = new Int32Array(2 * ROUNDS);

export class Speck128 {
  private readonly kHigh: number;
  private readonly kLow: number;
  private readonly lHigh: number;
  private readonly lLow: number;

  /** @param key 16 bytes, the first word first, as the paper prints it. */
  constructor(key: Buffer) {
    this.lHigh = key.readInt32BE(0);
    this.lLow = key.readInt32BE(4);
    this.kHigh = key.readInt32BE(8);
    this.kLow = key.readInt32BE(12);
  }

  encrypt(block: Block): void {
    let xHigh = block[0]!;
    let xLow = block[1]!;
    let yHigh = block[2]!;
    let yLow = block[3]!;
    let { kHigh, kLow, lHigh, lLow } = this;
    for (let round = 0; round < ROUNDS; round++) {
      // x = (x >>> 8) + y ^ k; y = (y <<< 3) ^ x
      let turned = (xLow >>> 8) | (xHigh << 24);
      let low = (turned + yLow) | 0;
      xHigh = (((xHigh >>> 8) | (xLow << 24)) + yHigh + carry(turned, yLow, low)) ^ kHigh;
      xLow = low ^ kLow;
      let high = ((yHigh << 3) | (yLow >>> 29)) ^ xHigh;
      yLow = ((yLow << 3) | (yHigh >>> 29)) ^ xLow;
      yHigh = high;
      // The next round key comes of the same step, with the round's number as its key.
      turned = (lLow >>> 8) | (lHigh << 24);
      low = (turned + kLow) | 0;
      lHigh = (((lHigh >>> 8) | (lLow << 24)) + kHigh + carry(turned, kLow, low)) | 0;
      lLow = low ^ round;
      high = ((kHigh << 3) | (kLow >>> 29)) ^ lHigh;
      kLow = ((kLow << 3) | (kHigh >>> 29)) ^ lLow;
      kHigh = high;
    }
    block[0] = xHigh;
    block[1] = xLow;
    block[2] = yHigh;
    block[3] = yLow;
  }

  decrypt(block: Block): void {
    this.schedule();
    let xHigh = block[0]!;
    let xLow = block[1]!;
    let yHigh = block[2]!;
    let yLow = block[3]!;
    for (let round = ROUNDS - 1; round >= 0; round--) {
      // y = (y ^ x) >>> 3; x = ((x ^ k) - y) <<< 8
      const high = yHigh ^ xHigh;
      const low = yLow ^ xLow;
      yHigh = (high >>> 3) | (low << 29);
      yLow = (low >>> 3) | (high << 29);
      const less = ((xLow ^ roundKeys[2 * round + 1]!) >>> 0) - (yLow >>> 0);
      const more = (xHigh ^ roundKeys[2 * round]!) - yHigh - (less < 0 ? 1 : 0);
      xHigh = (more << 8) | (less >>> 24);
      xLow = (less << 8) | (more >>> 24);
    }
    block[0] = xHigh;
    block[1] = xLow;
    block[2] = yHigh;
    block[3] = yLow;
  }

  private schedule(): void {
    let { kHigh, kLow, lHigh, lLow } = this;
    for (let round = 0; round < ROUNDS; round++) {
      roundKeys[2 * round] = kHigh;
      roundKeys[2 * round + 1] = kLow;
      const turned = (lLow >>> 8) | (lHigh << 24);
      const low = (turned + kLow) | 0;
      lHigh = (((lHigh >>> 8) | (lLow << 24)) + kHigh + carry(turned, kLow, low)) | 0;
      lLow = low ^ round;
      const high = ((kHigh << 3) | (kLow >>> 29)) ^ lHigh;
      kLow = ((kLow << 3) | (kHigh >>> 29)) ^ lLow;
      kHigh = high;
    }
  }
}

/** What the sum of two halves, which is `sum` in 32 bits, gives to the next: 0 or 1. */
function carry(one: number, other: number, sum: number): number {
  return ((one & other) | ((one | other) & ~sum)) >>> 31;
}
