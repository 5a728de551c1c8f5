/** Where log lines of all threads end: standard output, as JSON, or as text for a terminal. */
import { pino } from 'pino';

/** Lines that standard output did not take yet; beyond it they are dropped, for a server must not stop for its log. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024;
/** A reader that does not read holds up the end of the process no longer. */
const CLOSE_MS = 2_000;

export interface LogOutput {
  /** Takes JSON lines; never throws, never waits. */
  write(lines: readonly string[]): void;
  /** Resolves when all lines are written, or cannot be. Wait for it before the process ends. */
  close(): Promise<void>;
}

export interface LogOutputOptions {
  /** `auto`: text if the output is a terminal. */
  readonly format: 'auto' | 'json' | 'text';
  /** File descriptor; default 1. */
  readonly fd?: number;
  readonly isTerminal: boolean;
  /** Whether text may be coloured. */
  readonly hasColors: boolean;
}

/** Opens the output. */
export function openLogOutput({ format, fd = 1, isTerminal, hasColors }: LogOutputOptions): LogOutput {
  const isText = format === 'text' || (format === 'auto' && isTerminal);
  const sink = pino.destination({ fd, sync: false, maxLength: MAX_WAITING_BYTES });
  // There is nowhere to tell. A disk may have room again later; a reader that is gone does not come back.
  sink.on('error', ({ code }: NodeJS.ErrnoException) => {
    if (code === 'EPIPE' || code === 'EBADF') sink.destroy();
  });
  return {
    write(lines) {
      if (isOver(sink)) return;
      const texts = isText ? lines.map((line) => formatLine(line, hasColors)) : lines;
      sink.write(`${texts.join('\n')}\n`);
    },
    close() {
      return new Promise((resolve) => {
        if (isOver(sink)) return resolve();
        const done = () => {
          clearTimeout(timer);
          if (!isOver(sink)) sink.destroy();
          resolve();
        };
        const timer = setTimeout(done, CLOSE_MS);
        sink.once('close', done);
        sink.once('error', done);
        return sink.end();
      });
    },
  };
}

/** Its types do not know that it can be asked. */
function isOver(sink: object): boolean {
  return (sink as { destroyed?: boolean }).destroyed === true;
}

const COLORS = new Map([
  ['warn', '\u{1b}[33m'],
  ['error', '\u{1b}[31m'],
  ['debug', '\u{1b}[2m'],
  ['trace', '\u{1b}[2m'],
]);
const PLAIN = '\u{1b}[0m';

/**
 * One JSON line as one line of text: `12:34:56.789 info  started port=5222`. Text in it is
 * quoted where it has anything but letters, digits and the like, so no peer can forge a line
 * or reach the terminal.
 */
export function formatLine(line: string, hasColors: boolean): string {
  const { time, level, what, ...fields } = parseLine(line);
  const clock = typeof time === 'string' ? time.slice(11, 23) : '';
  const details = Object.entries(fields).map(([name, value]) => ` ${name}=${formatValue(value)}`);
  const color = hasColors ? (COLORS.get(String(level)) ?? '') : '';
  return `${clock} ${color}${String(level).padEnd(5)} ${String(what)}${details.join('')}${color === '' ? '' : PLAIN}`;
}

function parseLine(line: string): Record<string, unknown> {
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return { level: 'error', what: 'unreadable_log_line', line };
  }
}

function formatValue(value: unknown): string {
  if (typeof value === 'string' && /^[\w.:@/+-]{1,200}$/.test(value)) return value;
  const json = JSON.stringify(value) ?? String(value);
  // JSON leaves some characters as they are that move the cursor or the reading direction.
  return json.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => `\\u${character.codePointAt(0)!.toString(16).padStart(4, '0')}`);
}
