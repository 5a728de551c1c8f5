/**
 * An export in a thread of its own: the document goes to the main thread by a message port, a few pieces ahead of whoever
 * reads it. Both ends are here.
 */
import type { MessagePort } from 'node:worker_threads';
import { OperatorError } from '../kernel/errors.ts';
import { MODULES } from '../modules/index.ts';
import { exportAccount } from '../portability/export.ts';
import { openLmdb } from '../store/lmdb/open.ts';
import { parseJid } from '../xmpp/jid.ts';

export interface ExportJob {
  readonly port: MessagePort;
  /** The directory of the store, which the main thread has open. */
  readonly storePath: string;
  /** Bare JID. */
  readonly address: string;
}

/** Pieces on their way to a reader. */
const PIECES_AHEAD = 4;

type FromExport =
  | { readonly kind: 'piece'; readonly text: string }
  | { readonly kind: 'end' }
  /** `code` where the operator can mend it. */
  | { readonly kind: 'failed'; readonly code: string | undefined; readonly message: string };

/** Runs in the thread. The other end says `more` for each piece it has read, and closes the port where it wants none. */
export async function runExport({ port, storePath, address }: ExportJob): Promise<void> {
  const post = (message: FromExport): void => port.postMessage(message);
  let ahead = 0;
  let isGone = false;
  let read = Promise.withResolvers<void>();
  port.on('message', () => {
    ahead--;
    read.resolve();
  });
  port.on('close', () => {
    isGone = true;
    read.resolve();
  });
  try {
    await using store = await openLmdb({ path: storePath });
    for await (const text of exportAccount(store, parseJid(address)!, MODULES, true)) {
      post({ kind: 'piece', text });
      ahead++;
      while (ahead >= PIECES_AHEAD && !isGone) {
        await read.promise;
        read = Promise.withResolvers<void>();
      }
      if (isGone) return;
    }
    post({ kind: 'end' });
  } catch (error) {
    const { code, message, name } = error as Error & { code?: string };
    post({ kind: 'failed', code: name === 'OperatorError' || name === 'StoreError' ? code : undefined, message });
  } finally {
    port.close();
  }
}

/**
 * What such a thread sends, in the main thread. Leaving the loop ends the export.
 *
 * @param job settles when the thread has done with it.
 */
export async function* readExport(port: MessagePort, job: Promise<void>): AsyncGenerator<string> {
  const arrived: FromExport[] = [];
  let wake = Promise.withResolvers<void>();
  port.on('message', (message: FromExport) => {
    arrived.push(message);
    wake.resolve();
  });
  job.then(
    () => wake.resolve(),
    (error: Error) => {
      arrived.push({ kind: 'failed', code: undefined, message: error.message });
      wake.resolve();
    },
  );
  try {
    for (;;) {
      const message = arrived.shift();
      if (message === undefined) {
        await wake.promise;
        wake = Promise.withResolvers<void>();
        continue;
      }
      if (message.kind === 'end') return;
      if (message.kind === 'failed') {
        throw message.code === undefined
          ? new Error(`an export failed: ${message.message}`)
          : new OperatorError(message.code, message.message);
      }
      yield message.text;
      port.postMessage('more');
    }
  } finally {
    port.close();
  }
}
