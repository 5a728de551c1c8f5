/** Process entry: reads the configuration, starts the server, turns signals into an orderly stop. */
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';
import { isExecutable } from './build/embedded.ts';
import { BUILT_MS, VERSION } from './build/version.ts';
import { runCli } from './cli/program.ts';
import { EXIT } from './cli/exit.ts';
import { processIo } from './cli/io.ts';
import { loadConfig, type LoadedConfig } from './config/load.ts';
import { makeLogger } from './observe/log.ts';
import { openLogOutput } from './observe/log-output.ts';
import { serverCommands } from './server/commands.ts';
import { dataTools } from './server/data-tools.ts';
import { moduleSchemas } from './server/module-schemas.ts';
import type { Server } from './server/server.ts';
import { startWholeServer } from './server/start-server.ts';
import { certificateDir } from './server/startup.ts';
import { welcome } from './server/welcome.ts';

if (!isExecutable()) enableCompileCache();

/** Serves until it is to end; with every restart, the configuration is read again. */
async function serve(loaded: LoadedConfig): Promise<number> {
  for (let current = loaded; ;) {
    const outcome = await serveOnce(current);
    if (outcome !== 'restart') return outcome;
    // Where its data are was said when it was started, perhaps on the command line.
    const env = { ...process.env, ROOKERY_DATA_DIR: current.config.dataDir };
    current = loadConfig({ env, file: loaded.file, modules: moduleSchemas() });
  }
}

/** One life of the server; the number is the exit code. */
async function serveOnce(loaded: LoadedConfig): Promise<number | 'restart'> {
  const { config } = loaded;
  const output = openLogOutput({
    format: config.log.format,
    isTerminal: process.stdout.isTTY,
    hasColors: process.stdout.isTTY && process.stdout.hasColors(),
  });
  const logger = makeLogger({ level: config.log.level, write: (lines) => output.write(lines) });
  const over = Promise.withResolvers<number | 'restart'>();
  let server: Server | undefined;
  let isStopping = false;
  const stop = (signal: NodeJS.Signals): void => {
    if (isStopping) {
      logger.warn('stopping_at_once', { signal });
      over.resolve(EXIT.failed);
      return;
    }
    isStopping = true;
    logger.info('stopping', { signal });
    void server?.stop(); // else as soon as it has started
  };
  const reload = (): void => {
    server?.reload().then(
      ({ changes }) => logger.info('reloaded', { changes: changes.map(({ path }) => path) }),
      (error: unknown) => logger.error('reload_failed', { reason: error instanceof Error ? error.message : String(error) }),
    );
  };
  process.on('SIGTERM', stop).on('SIGINT', stop).on('SIGHUP', reload);
  try {
    const starting = startWholeServer({
      loaded,
      load: () => loadConfig({ env: process.env, file: loaded.file, modules: moduleSchemas() }),
      logger,
      writeLog: (lines) => output.write(lines),
      onGivenUp: (reason) => {
        logger.error('given_up', { reason });
        over.resolve(EXIT.failed);
      },
      onStopped: (isRestart) => over.resolve(isRestart ? 'restart' : EXIT.ok),
    });
    const started = await Promise.race([starting, over.promise]);
    if (typeof started !== 'object') return started;
    ({ server } = started);
    if (isStopping) {
      void server.stop();
    } else {
      process.stderr.write(welcome(server, started.tls));
      logger.info('started', { version: VERSION, pid: process.pid, ...server.ports });
    }
    const code = await over.promise;
    logger.info('stopped');
    return code;
  } finally {
    process.off('SIGTERM', stop).off('SIGINT', stop).off('SIGHUP', reload);
    logger.flush();
    await output.close();
  }
}

process.exitCode = await runCli({
  args: process.argv.slice(2),
  io: processIo(),
  version: VERSION,
  builtMs: BUILT_MS,
  modules: moduleSchemas(),
  commands: serverCommands().values(),
  serve,
  dataTools,
  selfSignedPair: (config) => ({
    certificate: join(certificateDir(config), 'self-signed.crt'),
    key: join(certificateDir(config), 'self-signed.key'),
  }),
});
// Pool threads and handles of libraries must not keep a stopped server alive.
process.exit();
