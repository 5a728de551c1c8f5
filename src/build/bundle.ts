/**
 * Makes the single executable: bundles the entries with esbuild and has Node put them,
 * with LMDB's native part, into a copy of itself.
 */
import { build } from 'esbuild';
import type { BuildOptions, Plugin } from 'esbuild';
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire, isBuiltin } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { POOL_ASSET, WORKER_ASSET, WORKER_CACHE_ASSET } from './embedded.ts';
import { LMDB_ASSET } from './native-addon.ts';

/** Absolute paths. */
export interface ExecutableEntries {
  readonly main: string;
  readonly worker: string;
  /** Exports the tasks of the pool, each a function by name. */
  readonly pool: string;
}

/** What was made, in bytes. */
export interface ExecutableReport {
  readonly path: string;
  readonly totalBytes: number;
  readonly nodeBytes: number;
  readonly mainBytes: number;
  readonly workerBytes: number;
  readonly poolBytes: number;
  readonly nativeBytes: number;
}

const here = dirname(fileURLToPath(import.meta.url));
const require = createRequire(import.meta.url);

/** Replaces `what` in one file of a package; the build fails where the package no longer contains it. */
interface Patch {
  readonly file: RegExp;
  readonly what: string;
  readonly by: string;
}

const PATCHES: readonly Patch[] = [
  {
    // Piscina starts its threads from a file; here they start from an embedded script.
    file: /[\\/]piscina[\\/]dist[\\/]worker_pool[\\/]index\.js$/,
    what: 'new node_worker_threads_1.Worker(filename, workerOpts)',
    by: `new node_worker_threads_1.Worker(require('node:sea').getAsset(${JSON.stringify(POOL_ASSET)}, 'utf8'), { ...workerOpts, eval: true })`,
  },
  {
    // … and look for tasks in a file by name; here there is one set of tasks, in the same script.
    file: /[\\/]piscina[\\/]dist[\\/]worker\.js$/,
    what: 'Promise.resolve(`${filename}`).then(s => __importStar(require(s)))',
    by: "Promise.resolve(__importStar(require('rookery:pool')))",
  },
  {
    file: /[\\/]piscina[\\/]dist[\\/]worker\.js$/,
    what: 'await getImportESM()((0, node_url_1.pathToFileURL)(filename).href)',
    by: '{}',
  },
];

function rookeryPlugin(pool: string): Plugin {
  return {
    name: 'rookery',
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^node-gyp-build-optional-packages$/ }, () => ({ path: join(here, 'native-addon.ts') }));
      onResolve({ filter: /^rookery:pool$/ }, () => ({ path: pool }));
      // Optional native parts that the executable does without: string decoding for msgpack, which is not used, and thread priorities.
      onResolve({ filter: /^(msgpackr-extract|@napi-rs\/nice)$/ }, ({ path }) => ({ path, namespace: 'absent' }));
      // Its entry for browsers is the one that does not look for the native part.
      onResolve({ filter: /^msgpackr$/ }, () => ({ path: join(packageDirectory('msgpackr'), 'index.js') }));
      // All languages' messages, of which the sources use one: a third of the worker's script.
      onLoad({ filter: /[\\/]zod[\\/]v4[\\/]locales[\\/]index\.c?js$/ }, ({ path }) => ({
        contents: "export { default as en } from './en.js';",
        resolveDir: dirname(path),
      }));
      onLoad({ filter: /.*/, namespace: 'absent' }, () => ({ contents: 'module.exports = undefined;' }));
      onLoad({ filter: /[\\/]piscina[\\/]dist[\\/]/ }, ({ path }) => {
        let source = readFileSync(path, 'utf8');
        for (const { file, what, by } of PATCHES) {
          if (!file.test(path)) continue;
          const count = source.split(what).length - 1;
          if (count !== 1) return { errors: [{ text: `${path} has changed: expected '${what}' once, found it ${count} times` }] };
          source = source.replace(what, () => by);
        }
        return { contents: source, loader: 'js' };
      });
    },
  };
}

/** The directory of an installed package. Its `exports` do not let `require.resolve` tell. */
function packageDirectory(name: string): string {
  for (const base of require.resolve.paths(name) ?? []) {
    const directory = join(base, name);
    if (statSync(directory, { throwIfNoEntry: false })?.isDirectory() === true) return directory;
  }
  throw new Error(`The package ${name} is not installed; run npm ci`);
}

/** LMDB's prebuilt native part for this machine, for Node's stable ABI. */
function lmdbAddonPath(): string {
  const directory = packageDirectory(`@lmdb/lmdb-${process.platform}-${process.arch}`);
  return join(directory, process.platform === 'linux' ? 'node.napi.glibc.node' : 'node.napi.node');
}

function options(format: 'esm' | 'cjs', pool: string): BuildOptions {
  return {
    bundle: true,
    platform: 'node',
    target: `node${process.versions.node}`,
    format,
    write: false,
    metafile: true,
    // Names and lines stay, for stack traces.
    minifySyntax: true,
    legalComments: 'none',
    logLevel: 'warning',
    define: {
      'import.meta.url': '__moduleUrl',
      'import.meta.dirname': '__moduleDirectory',
      __dirname: '__moduleDirectory',
      __filename: '__moduleFile',
      ROOKERY_BUILT_MS: String(builtMs()),
    },
    banner: { js: banner(format) },
    plugins: [rookeryPlugin(pool)],
  };
}

/** Of a build that is to come out the same again, when it was first made: https://reproducible-builds.org/specs/source-date-epoch/ */
function builtMs(): number {
  const { SOURCE_DATE_EPOCH: seconds } = process.env;
  return seconds !== undefined && /^\d{1,11}$/.test(seconds) ? Number(seconds) * 1_000 : Date.now();
}

/**
 * What a module of a package may ask about itself, answered as for a file beside the
 * executable; and `require`, which CommonJS packages look for inside an ES module.
 */
function banner(format: 'esm' | 'cjs'): string {
  const common = [
    'const __moduleUrl = __url.pathToFileURL(process.execPath).href;',
    'const __moduleFile = process.execPath;',
    'const __moduleDirectory = __path.dirname(process.execPath);',
  ];
  return format === 'esm'
    ? [
        "import __module from 'node:module';",
        "import __path from 'node:path';",
        "import __url from 'node:url';",
        ...common,
        'const require = __module.createRequire(__moduleUrl);',
      ].join('\n')
    : ["const __path = require('node:path');", "const __url = require('node:url');", ...common].join('\n');
}

async function bundle(entry: string, format: 'esm' | 'cjs', pool: string): Promise<Uint8Array> {
  const { outputFiles, metafile } = await build({ ...options(format, pool), entryPoints: [entry] });
  const outside = Object.values(metafile!.outputs).flatMap(({ imports }) =>
    imports.filter(({ path, external }) => external === true && !isBuiltin(path)),
  );
  // What stays outside would be looked for on the operator's machine, in whatever directory they are in.
  if (outside.length > 0) throw new Error(`${entry} needs what cannot be bundled: ${outside.map(({ path }) => path).join(', ')}`);
  return outputFiles![0]!.contents;
}

/** What V8 makes of the worker's script; only the very Node that made it takes it, others compile anew. */
function compileWorker(node: string, directory: string): void {
  const program = `
    const { readFileSync, writeFileSync } = require('node:fs');
    const { Script } = require('node:vm');
    const script = new Script(readFileSync('${WORKER_ASSET}', 'utf8'), { filename: '${WORKER_ASSET}' });
    writeFileSync('${WORKER_CACHE_ASSET}', script.createCachedData());`;
  const { status, stderr } = spawnSync(node, ['--eval', program], { cwd: directory, env: {}, encoding: 'utf8' });
  if (status !== 0) throw new Error(`The worker's script does not compile: ${stderr}`);
}

/** Saves a fifth, where the tool for it is installed. Not on macOS, where it would break the signature. */
function stripSymbols(path: string): void {
  if (process.platform === 'linux') spawnSync('strip', ['--strip-all', path], { stdio: 'ignore' });
}

/**
 * Builds the executable at `output`. The Node that runs this is the one that is embedded.
 *
 * @throws Error when a bundle cannot be made or Node refuses to build.
 */
export async function buildExecutable(entries: ExecutableEntries, output: string): Promise<ExecutableReport> {
  const piscinaWorker = join(packageDirectory('piscina'), 'dist', 'worker.js');
  const [main, worker, pool] = await Promise.all([
    bundle(entries.main, 'esm', entries.pool),
    bundle(entries.worker, 'cjs', entries.pool),
    bundle(piscinaWorker, 'cjs', entries.pool),
  ]);
  mkdirSync(dirname(output), { recursive: true });
  const work = mkdtempSync(join(dirname(output), '.build-'));
  try {
    writeFileSync(join(work, 'main.mjs'), main);
    writeFileSync(join(work, WORKER_ASSET), `(function (require, module, exports) {\n${Buffer.from(worker).toString('utf8')}\n})`);
    writeFileSync(join(work, POOL_ASSET), pool);
    const native = lmdbAddonPath();
    const node = join(work, 'node');
    copyFileSync(process.execPath, node);
    stripSymbols(node);
    compileWorker(node, work);
    const config = {
      executable: node,
      main: join(work, 'main.mjs'),
      mainFormat: 'module',
      // Compiled when it is built, like the worker's script. The price: the main script cannot import what is not bundled.
      useCodeCache: true,
      output: join(work, 'executable'),
      disableExperimentalSEAWarning: true,
      // The command line is Rookery's own; NODE_OPTIONS is for the Node that the user installed, if any.
      execArgvExtension: 'none',
      assets: {
        [WORKER_ASSET]: join(work, WORKER_ASSET),
        [WORKER_CACHE_ASSET]: join(work, WORKER_CACHE_ASSET),
        [POOL_ASSET]: join(work, POOL_ASSET),
        [LMDB_ASSET]: native,
      },
    };
    writeFileSync(join(work, 'sea.json'), JSON.stringify(config));
    const { status, stderr, error } = spawnSync(process.execPath, ['--build-sea', join(work, 'sea.json')], { encoding: 'utf8' });
    if (status !== 0) throw new Error(`node --build-sea failed: ${error?.message ?? stderr}`);
    renameSync(config.output, output);
    return {
      path: resolve(output),
      totalBytes: statSync(output).size,
      nodeBytes: statSync(node).size,
      mainBytes: main.length,
      workerBytes: worker.length,
      poolBytes: pool.length,
      nativeBytes: statSync(native).size,
    };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
