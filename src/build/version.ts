/** What this program is, as `--version`, the log and XEP-0092 tell. */
import packageJson from '../../package.json' with { type: 'json' };

declare const ROOKERY_BUILT_MS: number | undefined;

/** E.g. `0.1.0`. */
export const VERSION: string = packageJson.version;

/** When the executable was built, in milliseconds since the epoch; 0 when run from the sources. The bundler fills it in. */
export const BUILT_MS: number = typeof ROOKERY_BUILT_MS === 'number' ? ROOKERY_BUILT_MS : 0;
