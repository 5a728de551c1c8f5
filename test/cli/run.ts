/** Runs the command line as a person or a script would, and keeps what it wrote. */
import { Readable } from 'node:stream';
import { runCli } from '../../src/cli/program.ts';
import type { CliInput } from '../../src/cli/program.ts';
import type { Input } from '../../src/cli/io.ts';

export interface Run {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface RunOptions extends Partial<Pick<CliInput, 'serve' | 'modules' | 'selfSignedPair' | 'dataTools'>> {
  readonly env?: Record<string, string>;
  readonly stdin?: Input;
  readonly terminal?: { readonly columns: number; readonly rows: number };
  /** Called with everything written to standard output so far. */
  readonly onOutput?: (out: string) => void;
}

export async function run(args: readonly string[], options: RunOptions = {}): Promise<Run> {
  let out = '';
  let err = '';
  const code = await runCli({
    args,
    io: {
      env: options.env ?? {},
      stdin: options.stdin ?? Readable.from([]),
      stdout: {
        write: (text) => {
          out += text;
          options.onOutput?.(out);
        },
        isTTY: options.terminal !== undefined,
        ...options.terminal,
      },
      stderr: { write: (text) => void (err += text) },
    },
    version: '1.2.3',
    builtMs: 0,
    modules: options.modules ?? {},
    serve: options.serve ?? (() => Promise.reject(new Error('serve was called'))),
    ...(options.dataTools === undefined ? {} : { dataTools: options.dataTools }),
    ...(options.selfSignedPair === undefined ? {} : { selfSignedPair: options.selfSignedPair }),
  });
  return { code, out, err };
}

/** A terminal's keyboard: gives what is typed, and remembers whether it would have been shown. */
export class Keyboard extends Readable {
  readonly isTTY = true;
  isRaw = false;
  /** Whether anything was typed while the terminal would have shown it. */
  hasEchoed = false;

  override _read(): void {}

  setRawMode(isRaw: boolean): this {
    this.isRaw = isRaw;
    return this;
  }

  type(keys: string): void {
    if (!this.isRaw) this.hasEchoed = true;
    this.push(keys);
  }
}
