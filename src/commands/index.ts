/** The server's own commands; those of modules come with them (`ModuleSpec.commands`). */
import type { z } from 'zod';
import type { AnyCommand } from '../core/command.ts';
import { componentList } from './component.ts';
import { adminAdd, adminList, adminRemove } from './host-admins.ts';
import { ownKick, ownPasswd, ownSessions } from './own.ts';
import { backup, config, exportAccount, metrics, reload, restart, status, stop, top } from './process.ts';
import { s2sCheck, s2sClose, s2sList } from './s2s.ts';
import { sessionKick, sessionList } from './session.ts';
import { userAdd, userCount, userDel, userDisable, userEnable, userInfo, userList, userPasswd, userRoster } from './user.ts';

const OWN = [
  status,
  top,
  reload,
  stop,
  restart,
  config,
  metrics,
  userAdd,
  userPasswd,
  userDel,
  userList,
  userEnable,
  userDisable,
  userInfo,
  userCount,
  userRoster,
  sessionList,
  sessionKick,
  adminList,
  adminAdd,
  adminRemove,
  ownPasswd,
  ownSessions,
  ownKick,
  componentList,
  s2sList,
  s2sClose,
  s2sCheck,
  backup,
  exportAccount,
] as const;

/** In the order in which they are listed. */
export const OWN_COMMANDS: readonly AnyCommand[] = OWN;

type Own = (typeof OWN)[number];
export type CommandName = Own['name'];
export type StreamingName = Extract<Own, { readonly stream: unknown }>['name'];
type Named<N extends CommandName> = Extract<Own, { readonly name: N }>;

/** What a caller passes; defaults may be left out. */
export type CommandArgs<N extends CommandName> = z.input<Named<N>['args']>;
/** What the command gives; streaming ones give any number of it. */
export type CommandResult<N extends CommandName> = Given<Named<N>>;
type Given<C> = C extends { readonly stream: (...args: never[]) => AsyncIterable<infer R> }
  ? R
  : C extends { readonly run: (...args: never[]) => infer R }
    ? Awaited<R>
    : never;
