/** The page of a report: one file, with everything it needs in it. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { build } from 'esbuild';
import { hasFaults, type Outcome, type Saved } from '../load/outcome.ts';
import { figure, ms } from '../load/print.ts';
import type { Row } from '../peers/table.ts';
import { comparisonsOf, plotsOf, type Comparison } from './plots.ts';

const STYLE = `
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; color: #1c1c1c; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin: 2rem 0 .3rem; }
.note { color: #555; margin: .2rem 0 .8rem; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(560px, 1fr)); gap: 0 2rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: right; padding: .2rem .6rem; font-variant-numeric: tabular-nums; white-space: nowrap; }
th { font-weight: 500; color: #555; border-bottom: 1px solid #ccc; }
th:nth-child(2) { text-align: left; }
th:first-child, td:first-child { text-align: left; width: 14rem; }
td.bar { text-align: left; width: 40%; }
.bar div { background: #c8553d; height: 1rem; display: inline-block; vertical-align: middle; min-width: 2px; }
tr:first-child .bar div { background: #0b6e4f; }
.bar span { padding-left: .5rem; color: #333; }
.failed { color: #b00020; }
`;

export async function pageOf(saved: readonly Saved[]): Promise<string> {
  const outcomes = saved.flatMap((each) => each.outcomes);
  const plots = plotsOf(outcomes).map((plot, at) => ({ ...plot, place: `plot${at}` }));
  const machines = [...new Set(saved.map(({ machine }) => machine))];
  const days = outcomes.map(({ at }) => at.slice(0, 10)).toSorted();
  const failed = outcomes.filter(hasFaults);
  const css = readFileSync(join(createRequire(import.meta.url).resolve('uplot'), '../uPlot.min.css'), 'utf8');
  // What could end the element early is written so that it is the same JSON without being markup.
  const data = JSON.stringify(plots).replaceAll('<', '\\u003c');
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Bench</title><style>${css}${STYLE}</style></head>
<body>
<h1>Bench</h1>
<p class="note">${text(`${days[0] ?? ''}${days.at(-1) === days[0] ? '' : ` to ${days.at(-1)}`}; ${machines.join('; ')}; ${outcomes.length} runs`)}</p>
${failed.length === 0 ? '' : faultList(failed)}
<div class="plots">${plots.map(({ title, note, place }) => `<section><h2>${text(title)}</h2><p class="note">${text(note)}</p><div id="${place}"></div></section>`).join('\n')}</div>
${comparisonsOf(outcomes).map(comparison).join('\n')}
<script type="application/json" id="plots">${data}</script>
<script>${await browserCode()}</script>
</body>
</html>
`;
}

/** The plotting library with our part of it. */
async function browserCode(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [join(import.meta.dirname, 'browser.js')],
    bundle: true,
    minify: true,
    format: 'iife',
    write: false,
  });
  return outputFiles[0]!.text.replaceAll('</script', '<\\/script');
}

/** Bars are of the figure that is there for all: memory, else CPU of the server, else time. Shorter is better. */
function comparison({ title, unit, rows }: Comparison): string {
  const [measure, valueOf] = measureOf(rows, unit);
  const most = Math.max(...rows.map(valueOf));
  const reference = valueOf(rows[0]!);
  const lines = rows.map((row, at) => {
    const value = valueOf(row);
    const ratio = at === 0 ? '' : `, x ${(value / reference).toFixed(1)}`;
    const { latency } = row;
    const cells = [figure(row.perSecond), latency === undefined ? '' : ms(latency.p50), latency === undefined ? '' : ms(latency.p99)];
    const failure = row.failures === 0 ? '' : ` <span class="failed">failed ${row.failures} of ${row.repetitions}</span>`;
    const bar = `<div style="width:${((value / most) * 70).toFixed(1)}%"></div><span>${figure(value)}${ratio}</span>`;
    return `<tr><td>${text(row.server)}${failure}</td><td class="bar">${bar}</td>${cells.map((cell) => `<td>${cell}</td>`).join('')}<td>${figure(row.generatorMicros)}</td></tr>`;
  });
  const head = ['server', measure, `${unit}s/s`, 'p50 ms', 'p99 ms', 'generator us'].map((cell) => `<th>${text(cell)}</th>`);
  return `<h2>${text(title)}</h2><table><thead><tr>${head.join('')}</tr></thead><tbody>${lines.join('\n')}</tbody></table>`;
}

function measureOf(rows: readonly Row[], unit: string): [name: string, valueOf: (row: Row) => number] {
  if (rows.every(({ bytesEach }) => bytesEach !== undefined)) return [`KiB per ${unit}`, ({ bytesEach }) => bytesEach! / 1_024];
  if (rows.every(({ serverMicros }) => Number.isFinite(serverMicros))) return [`server us per ${unit}`, ({ serverMicros }) => serverMicros];
  return [`us per ${unit}`, ({ perSecond }) => 1e6 / perSecond];
}

function faultList(failed: readonly Outcome[]): string {
  const items = failed.map(({ title, scenario, server, faults }) => {
    const told = Object.entries(faults).map(([fault, count]) => `${count} ${fault}`);
    return `<li>${text(`${title ?? scenario}, ${server}: ${told.join(', ')}`)}</li>`;
  });
  return `<div class="failed"><strong>Runs that failed</strong><ul>${items.join('')}</ul></div>`;
}

function text(value: string): string {
  return value.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
