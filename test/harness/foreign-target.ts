/**
 * The servers that transcripts can be played against besides our own in memory.
 *
 *   TRANSCRIPT_TARGET=prosody | ejabberd   the installed one, started for the run with a directory of its own
 *   TRANSCRIPT_TARGET=rookery              our own, as operators run it: a process with worker threads, a store on disk, TCP
 *   TRANSCRIPT_TARGET=tcp                  TRANSCRIPT_HOST, TRANSCRIPT_PORT, TRANSCRIPT_DOMAIN; accounts by in-band registration,
 *                                          or TRANSCRIPT_CREATE and TRANSCRIPT_REMOVE, e.g. `prosodyctl register {user} {domain} {password}`
 */
import { startEjabberd } from './ejabberd.ts';
import { startProsody } from './prosody.ts';
import { startRookery } from './rookery.ts';
import type { Target } from './target.ts';
import { tcpTarget } from './tcp-target.ts';

export async function startForeignTarget(name: string): Promise<Target> {
  switch (name) {
    case 'prosody':
      return startProsody();
    case 'ejabberd':
      return startEjabberd();
    case 'rookery':
      return startRookery();
    case 'tcp': {
      const { TRANSCRIPT_HOST: host, TRANSCRIPT_PORT: port, TRANSCRIPT_DOMAIN: domain, TRANSCRIPT_CREATE, TRANSCRIPT_REMOVE } = process.env;
      if (domain === undefined) throw new Error('TRANSCRIPT_TARGET=tcp needs TRANSCRIPT_DOMAIN');
      return tcpTarget({
        host: host ?? '127.0.0.1',
        port: Number(port ?? 5222),
        domain,
        createCommand: TRANSCRIPT_CREATE?.split(' '),
        removeCommand: TRANSCRIPT_REMOVE?.split(' '),
      });
    }
    default:
      throw new Error(`TRANSCRIPT_TARGET is '${name}'; known: memory, rookery, prosody, ejabberd, tcp`);
  }
}
