/**
 * Structured log events. A logger makes lines and hands them over in batches, so that a
 * worker does no more than format; writing is the main thread's, see `log-output.ts`.
 */
import { pino } from 'pino';
import type { Logger as Pino } from 'pino';

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** What an event carries. Plain data; an Error is logged with its stack. */
export type LogFields = Readonly<Record<string, unknown>>;

/** `what` is the event's name in snake_case, one of few: what varies goes into the fields. */
export interface Logger {
  trace(what: string, fields?: LogFields): void;
  debug(what: string, fields?: LogFields): void;
  info(what: string, fields?: LogFields): void;
  warn(what: string, fields?: LogFields): void;
  error(what: string, fields?: LogFields): void;
  /** The least severe level that is logged; may be set at any time. */
  level: LogLevel;
  /** Whether events of this level are logged: ask before making fields that cost something. */
  isLogged(level: Exclude<LogLevel, 'silent'>): boolean;
  /** A logger that adds `fields` to every event. It shares batches with this one, and starts with its level. */
  child(fields: LogFields): Logger;
  /** Hands over what is gathered. */
  flush(): void;
}

export interface LoggerOptions {
  readonly level: LogLevel;
  /** Takes complete JSON lines, without line ends. Must not throw. */
  readonly write: (lines: readonly string[]) => void;
  /** Added to every event, e.g. `{ worker: 3 }`. */
  readonly fields?: LogFields;
  /** Lines wait at most this long for others. Default 50. */
  readonly flushMs?: number;
}

/** Lines that wait at most, whatever the time. */
const MAX_BATCH = 256;
/** Longer text is cut: it is what a peer sent, not what an operator reads. */
const MAX_TEXT = 4_096;

/** Names under which passwords, keys and what people write to each other would stand. They are never logged. */
const SECRET_NAMES = new Set(['password', 'secret', 'token', 'authorization', 'privateKey', 'body', 'stanza', 'xml']);
const REDACTED = '[redacted]';

/** Lines on their way to `write`. */
class Batch {
  private lines: string[] = [];
  private timer: NodeJS.Timeout | undefined;
  private readonly options: LoggerOptions;

  constructor(options: LoggerOptions) {
    this.options = options;
  }

  add(line: string, isUrgent: boolean): void {
    this.lines.push(line);
    // What comes after an error may be the end of the thread.
    if (isUrgent || this.lines.length >= MAX_BATCH) this.flush();
    else this.timer ??= setTimeout(() => this.flush(), this.options.flushMs ?? 50).unref();
  }

  flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (this.lines.length === 0) return;
    const { lines } = this;
    this.lines = [];
    this.options.write(lines);
  }
}

/** Makes a logger. */
export function makeLogger(options: LoggerOptions): Logger {
  const batch = new Batch(options);
  const destination = {
    lastLevel: 0,
    write(line: string) {
      batch.add(line.endsWith('\n') ? line.slice(0, -1) : line, this.lastLevel >= 50);
    },
    // pino tells the level of each line to a destination that has this mark.
    [Symbol.for('pino.metadata')]: true,
  };
  const root = pino(
    {
      level: options.level,
      base: null,
      messageKey: 'what',
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (level) => ({ level }), log: clean },
    },
    destination,
  );
  return wrap(options.fields === undefined ? root : root.child(options.fields), batch);
}

function wrap(inner: Pino, batch: Batch): Logger {
  return {
    trace: (what, fields) => (fields === undefined ? inner.trace(what) : inner.trace(fields, what)),
    debug: (what, fields) => (fields === undefined ? inner.debug(what) : inner.debug(fields, what)),
    info: (what, fields) => (fields === undefined ? inner.info(what) : inner.info(fields, what)),
    warn: (what, fields) => (fields === undefined ? inner.warn(what) : inner.warn(fields, what)),
    error: (what, fields) => (fields === undefined ? inner.error(what) : inner.error(fields, what)),
    isLogged: (level) => inner.isLevelEnabled(level),
    get level() {
      return inner.level as LogLevel;
    },
    set level(level) {
      inner.level = level;
    },
    child: (fields) => wrap(inner.child(fields), batch),
    flush: () => batch.flush(),
  };
}

/**
 * Takes out what must not be logged, at the top and one level below, cuts what is too long, and makes
 * text of errors. pino's own redaction of nested names costs five times as much as the rest of the line.
 */
function clean(fields: Record<string, unknown>): Record<string, unknown> {
  let changed: Record<string, unknown> | undefined;
  for (const name in fields) {
    const value = fields[name];
    const fit = SECRET_NAMES.has(name) ? REDACTED : cleanValue(value);
    if (fit === value) continue;
    changed ??= { ...fields };
    changed[name] = fit;
  }
  return changed ?? fields;
}

function cleanValue(value: unknown): unknown {
  if (typeof value === 'string') return value.length > MAX_TEXT ? `${value.slice(0, MAX_TEXT)}…` : value;
  if (value instanceof Error) return cleanValue(value.stack ?? value.message);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const inner = value as Record<string, unknown>;
  const secrets = Object.keys(inner).filter((name) => SECRET_NAMES.has(name));
  return secrets.length === 0 ? value : { ...inner, ...Object.fromEntries(secrets.map((name) => [name, REDACTED])) };
}
