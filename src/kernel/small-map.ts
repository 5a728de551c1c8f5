/**
 * Maps and sets that are empty or hold one entry most of their lives, as an idle actor's are: a `Map` takes 190 bytes before
 * anything is in it, and an idle session would have thirty. Here the only entry is kept in the object itself (48 bytes);
 * a second one moves both into a `Map`, which is given up when one is left.
 *
 * Order is that of insertion, as in a `Map`. Entries may be added and deleted during an iteration: it may still
 * see one that was deleted and not see one that was added.
 */

/** No key: any value may be one. */
const NONE = Symbol('none');

export class SmallMap<K, V> {
  /** Of the only entry, while there is no `many`. */
  private onlyKey: K | typeof NONE = NONE;
  private onlyValue: V | undefined = undefined;
  private many: Map<K, V> | undefined = undefined;

  get size(): number {
    if (this.many !== undefined) return this.many.size;
    return this.onlyKey === NONE ? 0 : 1;
  }

  get(key: K): V | undefined {
    if (this.many !== undefined) return this.many.get(key);
    return this.onlyKey === key ? this.onlyValue : undefined;
  }

  has(key: K): boolean {
    return this.many === undefined ? this.onlyKey === key : this.many.has(key);
  }

  set(key: K, value: V): this {
    const { many, onlyKey } = this;
    if (many !== undefined) {
      many.set(key, value);
    } else if (onlyKey === NONE || onlyKey === key) {
      this.onlyKey = key;
      this.onlyValue = value;
    } else {
      this.many = new Map<K, V>().set(onlyKey, this.onlyValue as V).set(key, value);
      this.forgetOnly();
    }
    return this;
  }

  /** True if it was there. */
  delete(key: K): boolean {
    const { many } = this;
    if (many !== undefined) {
      const wasThere = many.delete(key);
      if (many.size === 1) {
        for (const [lastKey, value] of many) {
          this.onlyKey = lastKey;
          this.onlyValue = value;
        }
        this.many = undefined;
      }
      return wasThere;
    }
    if (this.onlyKey !== key) return false;
    this.forgetOnly();
    return true;
  }

  clear(): void {
    this.many = undefined;
    this.forgetOnly();
  }

  /** The oldest key; undefined where there is none. */
  get firstKey(): K | undefined {
    for (const key of this.keys()) return key;
    return undefined;
  }

  keys(): Iterable<K> {
    if (this.many !== undefined) return this.many.keys();
    return this.onlyKey === NONE ? NOTHING : [this.onlyKey];
  }

  values(): Iterable<V> {
    if (this.many !== undefined) return this.many.values();
    return this.onlyKey === NONE ? NOTHING : [this.onlyValue as V];
  }

  [Symbol.iterator](): Iterator<[K, V]> {
    if (this.many !== undefined) return this.many[Symbol.iterator]();
    return (this.onlyKey === NONE ? NOTHING : [[this.onlyKey, this.onlyValue as V] as [K, V]])[Symbol.iterator]();
  }

  private forgetOnly(): void {
    this.onlyKey = NONE;
    this.onlyValue = undefined;
  }
}

/** The same for values without keys. */
export class SmallSet<T> {
  private only: T | typeof NONE = NONE;
  private many: Set<T> | undefined = undefined;

  get size(): number {
    if (this.many !== undefined) return this.many.size;
    return this.only === NONE ? 0 : 1;
  }

  /** The oldest value; undefined where there is none. */
  get first(): T | undefined {
    for (const value of this) return value;
    return undefined;
  }

  has(value: T): boolean {
    return this.many === undefined ? this.only === value : this.many.has(value);
  }

  add(value: T): this {
    const { many, only } = this;
    if (many !== undefined) {
      many.add(value);
    } else if (only === NONE || only === value) {
      this.only = value;
    } else {
      this.many = new Set<T>().add(only).add(value);
      this.only = NONE;
    }
    return this;
  }

  /** True if it was there. */
  delete(value: T): boolean {
    const { many } = this;
    if (many !== undefined) {
      const wasThere = many.delete(value);
      if (many.size === 1) {
        for (const last of many) this.only = last;
        this.many = undefined;
      }
      return wasThere;
    }
    if (this.only !== value) return false;
    this.only = NONE;
    return true;
  }

  clear(): void {
    this.many = undefined;
    this.only = NONE;
  }

  [Symbol.iterator](): Iterator<T> {
    if (this.many !== undefined) return this.many[Symbol.iterator]();
    return (this.only === NONE ? NOTHING : [this.only])[Symbol.iterator]();
  }
}

const NOTHING: readonly never[] = [];
