/** Run by listener.test.ts under a small limit of open files: an echo that says what the limit is and which port it has. */
import { systemClock } from '../../src/kernel/clock.ts';
import { Admission, DEFAULT_ADMISSION_LIMITS } from '../../src/net/admission.ts';
import { FlushQueue } from '../../src/net/flush-queue.ts';
import { listen } from '../../src/net/listener.ts';
import { openFileLimit } from '../../src/net/open-files.ts';

const listener = await listen({
  hosts: ['127.0.0.1'],
  port: 0,
  setting: 'ROOKERY_C2S_PORT',
  kind: 'starttls',
  flushQueue: new FlushQueue(),
  admission: new Admission(DEFAULT_ADMISSION_LIMITS, systemClock),
  accept: (transport) =>
    transport.setHandlers({
      bytes: (chunk) => transport.write(chunk.toString()),
      secure: () => undefined,
      drained: () => undefined,
      closed: () => undefined,
    }),
});
if (listener.kind === 'listener') console.log(`limit ${openFileLimit()} port ${listener.port}`);
process.stdin.on('end', () => process.exit(0)).resume();
