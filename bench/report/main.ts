/** One HTML page from saved outcomes, or with `--text` the peers' table again: `npm run bench:report -- FILE.json… [--output dist/bench.html]`. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import type { Saved } from '../load/outcome.ts';
import { printTable, rowsOf } from '../peers/table.ts';
import { pageOf } from './page.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { output: { type: 'string', default: 'dist/bench.html' }, text: { type: 'boolean', default: false } },
});
if (positionals.length === 0) {
  console.error('usage: npm run bench:report -- FILE.json… [--output dist/bench.html | --text]');
  process.exitCode = 2;
} else {
  const saved = positionals.map((file) => JSON.parse(readFileSync(file, 'utf8')) as Saved);
  if (values.text) {
    console.log(printTable(rowsOf(saved.flatMap(({ outcomes }) => outcomes))));
  } else {
    mkdirSync(dirname(values.output), { recursive: true });
    writeFileSync(values.output, await pageOf(saved));
    console.log(values.output);
  }
}
