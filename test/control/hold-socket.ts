/** Holds the control socket named by its argument until it is killed. */
import { startControl } from '../../src/control/server.ts';
import { commands, noOperations } from './fake-server.ts';

await startControl({ path: process.argv[2]!, commands: commands(), operations: noOperations, version: '1' });
process.stdout.write('holding\n');
