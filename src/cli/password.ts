/** Asks for a password. Never from the arguments: those are in every user's process list and in shell histories. */
import type { CliIo } from './io.ts';

/** Of what is piped in; passwords are shorter, and anything larger is the wrong file. */
const MAX_PIPED_BYTES = 16 * 1_024;

/** The person said no, or what was piped in is no password. */
export class PasswordError extends Error {}

/**
 * Twice on the terminal, without echo; or the first line of what is piped in.
 *
 * @throws PasswordError with a sentence for the operator.
 */
export async function readNewPassword(io: CliIo, isPiped: boolean): Promise<string> {
  if (isPiped || io.stdin.isTTY !== true) return firstLine(await readAll(io));
  const password = await ask(io, 'Password: ');
  if (password === '') throw new PasswordError('The password must not be empty.');
  if ((await ask(io, 'Again: ')) !== password) throw new PasswordError('The two passwords differ.');
  return password;
}

async function readAll({ stdin }: CliIo): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of stdin) {
    const bytes = Buffer.from(chunk as Buffer | string);
    length += bytes.length;
    if (length > MAX_PIPED_BYTES) throw new PasswordError('What is piped in is too long for a password.');
    chunks.push(bytes);
  }
  return Buffer.concat(chunks);
}

function firstLine(bytes: Buffer): string {
  const text = bytes.toString('utf8');
  const [line = ''] = text.split(/\r?\n/, 1);
  if (line === '') throw new PasswordError('No password was piped in. Give it as the first line, or run this on a terminal.');
  return line;
}

/** One line of keys, shown nowhere. Ctrl-C and the end of input abort. */
function ask({ stdin, stderr }: CliIo, prompt: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let typed = '';
    stderr.write(prompt);
    stdin.setRawMode?.(true);
    stdin.setEncoding('utf8');
    const finish = (end: () => void) => {
      stdin.off('data', onData);
      stdin.off('end', onEnd);
      stdin.setRawMode?.(false);
      stdin.pause();
      stderr.write('\n');
      end();
    };
    const abort = () => finish(() => reject(new PasswordError('Aborted.')));
    const onEnd = abort;
    const onData = (keys: string) => {
      for (const key of keys) {
        if (key === '\r' || key === '\n') return finish(() => resolve(typed));
        if (key === '\u{3}' || key === '\u{4}') return abort();
        if (key === '\u{7f}' || key === '\b') typed = Array.from(typed).slice(0, -1).join('');
        else if (key === '\u{15}') typed = '';
        else if (key >= ' ') typed += key;
      }
      return undefined;
    };
    stdin.on('data', onData);
    stdin.on('end', onEnd);
    stdin.resume();
  });
}
