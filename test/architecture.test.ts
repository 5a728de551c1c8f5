/** The structure of the sources, as src/README.md describes it, executable. */
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { test } from 'node:test';

const ROOT = resolve(import.meta.dirname, '..');
const SRC = join(ROOT, 'src');

/** A layer may import from itself and from the layers named here. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  kernel: [],
  xml: [],
  sasl: [],
  store: [],
  log: ['store', 'xmpp', 'xml'],
  config: [],
  observe: [],
  build: [],
  xmpp: ['xml'],
  net: ['kernel'],
  stream: ['kernel', 'xml', 'xmpp', 'sasl', 'net', 'observe'],
  core: ['kernel', 'xml', 'xmpp', 'sasl', 'store', 'log', 'config', 'observe'],
  c2s: ['core', 'stream', 'kernel', 'xml', 'xmpp', 'sasl', 'net', 'store', 'config', 'observe'],
  component: ['core', 'stream', 'kernel', 'xml', 'xmpp', 'sasl', 'net', 'config', 'observe'],
  s2s: ['core', 'stream', 'kernel', 'xml', 'xmpp', 'sasl', 'net', 'config', 'observe'],
  modules: ['core', 'kernel', 'xmpp', 'xml', 'store', 'log', 'config'],
  portability: ['core', 'kernel', 'log', 'xmpp', 'xml', 'sasl', 'store'],
  commands: ['modules', 'core', 'kernel', 'xmpp', 'store', 'config'],
  control: ['commands', 'core', 'kernel'],
  cli: ['commands', 'control', 'core', 'config', 'kernel'],
};

/** What puts the layers together; nothing else imports it, and it may import everything. */
const COMPOSITION = ['main.ts', 'worker.ts', 'server.ts', 'pool.ts', 'build.ts', 'server'];

/** Layers that report through return values and injected functions. */
const SILENT = ['kernel', 'xml', 'xmpp', 'sasl', 'store', 'log'];

interface Import {
  readonly file: string;
  /** As written. */
  readonly specifier: string;
  /** Path below src of what is imported; undefined for packages and for files outside. */
  readonly target: string | undefined;
}

const FILES = globSync('**/*.ts', { cwd: SRC }).map((file) => file.split(sep).join('/'));

function importsOf(file: string): Import[] {
  const text = readFileSync(join(SRC, file), 'utf8');
  const statements = text.matchAll(/^(?:import|export)\s(?:[^;'"]*?\sfrom\s)?'([^'\n]+)'|\bimport\('([^'\n]+)'\)/gm);
  return [...statements].map(([, named, dynamic]) => {
    const specifier = named ?? dynamic;
    if (!specifier!.startsWith('.')) return { file, specifier: specifier!, target: undefined };
    const target = relative(SRC, resolve(join(SRC, dirname(file)), specifier!))
      .split(sep)
      .join('/');
    return { file, specifier: specifier!, target: target.startsWith('..') ? undefined : target };
  });
}

const IMPORTS = FILES.flatMap(importsOf);
const layerOf = (path: string): string => path.split('/')[0]!;

test('every folder of the sources is a layer or the composition', () => {
  for (const file of FILES) assert.ok(layerOf(file) in MAY_IMPORT || COMPOSITION.includes(layerOf(file)), `${file} belongs to no layer`);
});

test('every import points downwards', () => {
  const wrong = IMPORTS.filter(({ file, target }) => {
    const layer = layerOf(file);
    if (target === undefined || COMPOSITION.includes(layer)) return false;
    return layerOf(target) !== layer && !MAY_IMPORT[layer]?.includes(layerOf(target));
  });
  assert.deepEqual(
    wrong.map(({ file, target }) => `${file} imports ${target}`),
    [],
  );
});

test('every import names a file that exists, with its extension', () => {
  const wrong = IMPORTS.filter(({ target }) => target !== undefined && !existsSync(join(SRC, target)));
  assert.deepEqual(
    wrong.map(({ file, specifier }) => `${file} imports ${specifier}`),
    [],
  );
});

test('packages and Node’s modules are named so that one sees which is which', () => {
  const declared = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Record<string, Record<string, string>>;
  const runtime = Object.keys(declared['dependencies']!);
  const wrong = IMPORTS.filter(({ file, specifier }) => {
    if (specifier.startsWith('.') || specifier.startsWith('node:')) return false;
    const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
    // What only building needs is not needed where the server runs.
    return !runtime.includes(name) && !(layerOf(file) === 'build' && name in declared['devDependencies']!);
  });
  assert.deepEqual(
    wrong.map(({ file, specifier }) => `${file} imports ${specifier}`),
    [],
  );
});

test('silent layers do not log', () => {
  const wrong = FILES.filter((file) => SILENT.includes(layerOf(file))).filter((file) =>
    /\bconsole\.|process\.(?:stdout|stderr)|'pino'/.test(readFileSync(join(SRC, file), 'utf8')),
  );
  assert.deepEqual(wrong, []);
});

/** The module a file belongs to: a file or a folder of src/modules. */
const moduleOf = (path: string): string => path.split('/')[1]!.replace(/\.ts$/, '');

test('a module reaches another only through its index, and says that it needs it', () => {
  const wrong = IMPORTS.flatMap(({ file, target }) => {
    if (target === undefined || !file.startsWith('modules/') || !target.startsWith('modules/') || file === 'modules/index.ts') return [];
    const from = moduleOf(file);
    const to = moduleOf(target);
    if (from === to) return [];
    const isPublic = target === `modules/${to}.ts` || target === `modules/${to}/index.ts`;
    const declaration = existsSync(join(SRC, 'modules', `${from}.ts`)) ? `modules/${from}.ts` : `modules/${from}/index.ts`;
    const needs = /needs:\s*\[([^\]]*)\]/.exec(readFileSync(join(SRC, declaration), 'utf8'))?.[1] ?? '';
    return isPublic && needs.includes(`'${nameOf(to)}'`) ? [] : [`${file} imports ${target}`];
  });
  assert.deepEqual(wrong, []);
});

/** The name a module declares. */
function nameOf(module: string): string {
  const file = existsSync(join(SRC, 'modules', `${module}.ts`)) ? `${module}.ts` : join(module, 'index.ts');
  return /\bname: '([^']+)'/.exec(readFileSync(join(SRC, 'modules', file), 'utf8'))?.[1] ?? module;
}

test('every module has a test of its name', () => {
  const modules = new Set(FILES.filter((file) => file.startsWith('modules/') && file !== 'modules/index.ts').map(moduleOf));
  const missing = [...modules].filter((name) => !existsSync(join(ROOT, 'test/modules', `${name}.test.ts`)));
  assert.deepEqual(missing, []);
});

test('nothing at the top but what belongs there', () => {
  const names = globSync('*', { cwd: ROOT });
  const allowed = [
    'package.json',
    'package-lock.json',
    'tsconfig.json',
    'README.md',
    'src',
    'bench',
    'test',
    'node_modules',
    'dist',
    'data',
  ];
  assert.deepEqual(
    names.filter((name) => !allowed.includes(name) && !name.startsWith('.') && !name.endsWith('.log')),
    [],
  );
});

test('nothing a peer could guess: no Math.random', () => {
  assert.deepEqual(
    FILES.filter((file) => readFileSync(join(SRC, file), 'utf8').includes('Math.random')),
    [],
  );
});
