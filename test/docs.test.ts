/**
 * The README says what the sources say. Its tables between `<!-- name -->` and `<!-- /name -->` are
 * made here: `npm run docs` writes them, and without it a stale one fails.
 */
import assert from 'node:assert/strict';
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { describeCommands } from '../src/cli/program.ts';
import { C2S_SPECS } from '../src/c2s/features.ts';
import { describeExitCodes } from '../src/cli/exit.ts';
import {
  describeComponentOptions,
  describeHostOptions,
  describeModuleOptions,
  describeOptions,
  describeRemoteOptions,
  describeRouterUserOptions,
} from '../src/config/describe.ts';
import { ALL_OPTIONS } from '../src/config/load.ts';
import { MODULES } from '../src/modules/index.ts';
import { describeMetrics } from '../src/observe/metrics.ts';
import { serverCommands } from '../src/server/commands.ts';
import { S2S_IMPLEMENTS } from '../src/s2s/specs.ts';
import { moduleSchemas } from '../src/server/module-schemas.ts';
import { describeCompliance } from './conformance/suites.ts';

const ROOT = resolve(import.meta.dirname, '..');
const README = join(ROOT, 'README.md');
const SOURCES = globSync('src/**/*.ts', { cwd: ROOT }).map((file) => readFileSync(join(ROOT, file), 'utf8'));

const GENERATED: Readonly<Record<string, () => string>> = {
  commands: () => describeCommands([...serverCommands().values()]),
  'exit-codes': describeExitCodes,
  options: describeOptions,
  'host-options': describeHostOptions,
  'component-options': describeComponentOptions,
  'remote-options': describeRemoteOptions,
  'router-user-options': describeRouterUserOptions,
  'module-options': () => describeModuleOptions(moduleSchemas(), moduleOptionDocs()),
  metrics: describeMetrics,
  specs: describeSpecs,
  compliance: describeCompliance,
};

/** What modules, and the client role, declare to implement, one row per specification. */
function describeSpecs(): string {
  const roles = [
    { name: 'c2s', implements: C2S_SPECS },
    { name: 's2s', implements: S2S_IMPLEMENTS },
  ];
  const rows = [...MODULES, ...roles].flatMap(({ name, implements: specs }) =>
    specs.map(({ spec, version, status, note }) => `| ${spec} | ${version} | ${status} | ${note ?? ''} | \`${name}\` |`),
  );
  return ['| Specification | Version | Status | Note | Module |', '| --- | --- | --- | --- | --- |', ...rows.sort()].join('\n');
}

/** The comment above each key of a module's options, by `module.key`. */
function moduleOptionDocs(): Map<string, string> {
  const docs = new Map<string, string>();
  for (const { name } of MODULES) {
    const stem = name.replaceAll('_', '-');
    for (const file of globSync([`src/modules/${stem}.ts`, `src/modules/${stem}/*.ts`], { cwd: ROOT })) {
      for (const [, doc, key] of readFileSync(join(ROOT, file), 'utf8').matchAll(/\/\*\* ([^*]+) \*\/\n\s+(\w+): /g))
        docs.set(`${name}.${key}`, doc!);
    }
  }
  return docs;
}

/** The README with the table `name` replaced. */
function withTable(text: string, name: string, table: string): string {
  const start = `<!-- ${name} -->\n`;
  const end = `<!-- /${name} -->`;
  const from = text.indexOf(start);
  const to = text.indexOf(end);
  assert.ok(from !== -1 && to > from, `README.md has no place for the table '${name}'`);
  return `${text.slice(0, from)}${start}\n${table}\n\n${text.slice(to)}`;
}

if (process.env['UPDATE_README'] === '1') {
  writeFileSync(
    README,
    Object.entries(GENERATED).reduce((text, [name, table]) => withTable(text, name, table()), readFileSync(README, 'utf8')),
  );
}

for (const [name, table] of Object.entries(GENERATED)) {
  test(`README: the table '${name}' is fresh`, () => {
    const text = readFileSync(README, 'utf8');
    assert.equal(text, withTable(text, name, table()), 'Run: npm run docs');
  });
}

test('README: every option appears', () => {
  const text = readFileSync(README, 'utf8');
  for (const { option } of ALL_OPTIONS) assert.ok(text.includes(`\`${option.env}\``), option.env);
});

test('README: every error code of the sources is explained, and no other', () => {
  const used = new Set(SOURCES.flatMap((text): string[] => text.match(/\bERR_[A-Z0-9_]*[A-Z0-9]\b/g) ?? []));
  const explained = [...readFileSync(README, 'utf8').matchAll(/^\| `(ERR_[A-Z0-9_]+)` \| [^|]+ \| [^|]+ \|$/gm)].map(([, code]) => code!);
  assert.deepEqual(explained, [...new Set(explained)].sort(), 'sorted, each once');
  assert.deepEqual(explained, [...used].sort());
});

test('README: every script it names exists', () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: Record<string, string> };
  for (const [, name] of readFileSync(README, 'utf8').matchAll(/npm run ([a-z:-]+)/g))
    assert.ok(scripts[name!] !== undefined, `npm run ${name}`);
});

test('every relative link of the documentation leads somewhere', () => {
  for (const file of globSync(['*.md', 'src/**/*.md', 'bench/**/*.md'], { cwd: ROOT })) {
    for (const [, link] of readFileSync(join(ROOT, file), 'utf8').matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)/g)) {
      assert.ok(globSync(join(ROOT, file, '..', link!)).length > 0, `${file}: ${link}`);
    }
  }
});
