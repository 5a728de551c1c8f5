/** `npm run build`: makes `dist/rookery`, one file that runs without Node. */
import { join, resolve } from 'node:path';
import { buildExecutable } from './build/bundle.ts';

const source = import.meta.dirname;
const output = resolve(source, '../dist', process.platform === 'win32' ? 'rookery.exe' : 'rookery');

const startedMs = performance.now();
const report = await buildExecutable(
  { main: join(source, 'main.ts'), worker: join(source, 'worker.ts'), pool: join(source, 'pool.ts') },
  output,
);

const size = (bytes: number) => `${(bytes / 1_000_000).toFixed(1)} MB`;
process.stdout.write(
  `${report.path}: ${size(report.totalBytes)} in ${((performance.now() - startedMs) / 1_000).toFixed(1)} s ` +
    `(Node ${process.versions.node} ${size(report.nodeBytes)}; LMDB ${size(report.nativeBytes)}; ` +
    `main ${size(report.mainBytes)}, worker ${size(report.workerBytes)}, pool ${size(report.poolBytes)})\n`,
);
