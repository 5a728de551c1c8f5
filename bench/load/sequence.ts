/** What arrived of a numbered sequence: every number once, in order, or it is counted as what it is. */

export interface SequenceFaults {
  lost: number;
  doubled: number;
  reordered: number;
}

export class Sequence {
  /** The number that has to come next; the first is 1. */
  next = 1;
  doubled = 0;
  reordered = 0;
  /** Numbers that were passed over and have not come since. */
  private holes: Set<number> | undefined;

  /** True where `number` was not here before. */
  take(number: number): boolean {
    if (number === this.next) {
      this.next++;
      return true;
    }
    if (number > this.next) {
      this.holes ??= new Set();
      for (let missing = this.next; missing < number; missing++) this.holes.add(missing);
      this.next = number + 1;
      return true;
    }
    if (this.holes?.delete(number) === true) {
      this.reordered++;
      return true;
    }
    this.doubled++;
    return false;
  }

  /** Of `sent` in all, how many never came. */
  lostOf(sent: number): number {
    return sent - this.next + 1 + (this.holes?.size ?? 0);
  }

  faultsOf(sent: number): SequenceFaults {
    return { lost: this.lostOf(sent), doubled: this.doubled, reordered: this.reordered };
  }
}
