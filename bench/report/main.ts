/** One HTML page from saved outcomes: `npm run bench:report -- FILE.json… [--output dist/bench.html]`. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import type { Saved } from '../load/outcome.ts';
import { pageOf } from './page.ts';

const { values, positionals } = parseArgs({ allowPositionals: true, options: { output: { type: 'string', default: 'dist/bench.html' } } });
if (positionals.length === 0) {
  console.error('usage: npm run bench:report -- FILE.json… [--output dist/bench.html]');
  process.exitCode = 2;
} else {
  const saved = positionals.map((file) => JSON.parse(readFileSync(file, 'utf8')) as Saved);
  mkdirSync(dirname(values.output), { recursive: true });
  writeFileSync(values.output, await pageOf(saved));
  console.log(values.output);
}
