/** Who runs commands where the server does so by itself. */
import type { PlainCaller } from '../../core/command.ts';

export const SERVER: PlainCaller = { role: 'operator', name: 'invites' };
