/** The config schemas of all modules, by name: what the loader checks the file's sections with. */
import { z } from 'zod';
import type { ModuleSchemas } from '../config/hosts.ts';
import { MODULES } from '../modules/index.ts';

/** A module without options takes an empty section. */
const NOTHING = z.strictObject({});

export function moduleSchemas(): ModuleSchemas {
  return Object.fromEntries(MODULES.map(({ name, config }) => [name, config ?? NOTHING]));
}
