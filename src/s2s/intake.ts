/**
 * Stanzas that come in over one stream, and how many of them are dealt with: what may be acknowledged. XEP-0198 §4
 *
 * Messages to accounts are when the account says so, which may be in another order; all else is at once.
 *
 *   1 … taken │ taken+1 … count │
 *     durable │ some are, some not │
 */
export class Intake {
  count = 0;
  /** All up to this are dealt with. */
  taken = 0;
  /** Those behind that are, too: at most as many as are outstanding. */
  private readonly early = new Set<number>();

  /** @param taken as it was on a stream that this one goes on with. */
  constructor(taken = 0) {
    this.count = this.taken = taken;
  }

  get outstanding(): number {
    return this.count - this.taken;
  }

  /** The number of one more. */
  next(): number {
    return ++this.count;
  }

  /** That one is dealt with. */
  done(number: number): void {
    if (number <= this.taken || number > this.count) return; // of a stream that this one goes on with: it comes again
    if (number !== this.taken + 1) {
      this.early.add(number);
      return;
    }
    this.taken = number;
    while (this.early.delete(this.taken + 1)) this.taken++;
  }
}
