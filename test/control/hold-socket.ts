/** Holds the control socket named by its argument until it is killed. */
import { startControl } from '../../src/control/server.ts';
import { commands } from './fake-server.ts';

await startControl({ path: process.argv[2]!, commands: commands(), version: '1' });
process.stdout.write('holding\n');
