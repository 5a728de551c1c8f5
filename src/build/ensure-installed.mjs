/**
 * Runs before `npm start`, `npm test` and the like, so that each works on a fresh clone
 * with nothing but Node 20 and npm: installs the dependencies where they are missing or not
 * those of the lock file. Among them is the Node that the scripts themselves then run on,
 * since `node_modules/.bin` comes first in their PATH. Plain JavaScript that Node 20 runs.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Node runs TypeScript and builds executables as this project needs it from here on. */
const MIN_NODE_MAJOR = 26;

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');

/** The packages of a lock file by path; undefined where there is no readable one. */
function readPackages(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8')).packages;
  } catch (error) {
    if (error.code === 'ENOENT' || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** What npm noted when it installed last agrees with the lock file; optional packages of other machines may be missing. */
function isInstalled() {
  const wanted = readPackages(join(root, 'package-lock.json'));
  const found = readPackages(join(root, 'node_modules/.package-lock.json'));
  if (wanted === undefined || found === undefined) return false;
  return Object.entries(wanted).every(
    ([path, { version, optional }]) => path === '' || (found[path] === undefined ? optional === true : found[path].version === version),
  );
}

function install() {
  // `ci` starts by deleting; what is there already is only brought up to date, so that a failure without network leaves it usable.
  const command = existsSync(join(root, 'node_modules')) ? ['install', '--no-save'] : ['ci'];
  process.stderr.write(`Installing dependencies (npm ${command.join(' ')}) …\n`);
  // No package needs its install script: native parts and Node itself come ready-made.
  const { status, error } = spawnSync('npm', [...command, '--ignore-scripts', '--no-audit', '--no-fund'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  });
  if (status === 0) return;
  process.stderr.write(
    `The dependencies could not be installed${error === undefined ? '' : ` (${error.message})`}. Check the network and run: npm ci\n`,
  );
  process.exit(1);
}

/** The Node that scripts will run on: the installed one, else the one on this machine if it is new enough. */
function checkNode() {
  if (existsSync(join(root, 'node_modules/.bin/node')) || existsSync(join(root, 'node_modules/.bin/node.cmd'))) return;
  if (Number(process.versions.node.split('.')[0]) >= MIN_NODE_MAJOR) return;
  process.stderr.write(
    `There is no ready-made Node ${MIN_NODE_MAJOR} for ${process.platform}-${process.arch}. Install Node ${MIN_NODE_MAJOR} or newer and try again.\n`,
  );
  process.exit(1);
}

if (!isInstalled()) install();
checkNode();
