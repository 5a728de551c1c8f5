/**
 * A password gets further stored forms, with the client's help: the server cannot make them of those it has. XEP-0480 §3
 *
 *   <continue/> ──► <next/> ──► salt ──► hash ──► the next task, or what follows the login
 */
import { randomBytes } from 'node:crypto';
import { credentialsFrom, SALT_BYTES, SCRAM_HASHES, type ScramCredentials, type ScramHash } from '../sasl/scram-credentials.ts';
import { attributeOf } from '../stream/header.ts';
import type { Frame } from '../xml/frame.ts';
import { elementOf } from '../xml/tree.ts';
import { NS } from '../xmpp/namespaces.ts';
import type { C2sState, Connection } from './connection.ts';
import { failed } from './login.ts';
import { UPGRADES } from './wish.ts';

const NS_SCRAM = 'urn:xmpp:scram-upgrade:0';

/** Of one login. */
export interface Upgrade {
  readonly username: string;
  task: string;
  hash: ScramHash;
  /** Undefined until the client has taken the task up. */
  salt: Buffer | undefined;
  isOver: boolean;
  readonly iterations: number;
  readonly done: ScramCredentials[];
}

export function isUpgradeUnderWay({ login }: Connection): boolean {
  return login?.upgrade?.isOver === false;
}

/** Offers the next task that the client has asked for and that brings something; false where there is none. */
export function nextUpgrade(c: Connection, username: string, data: Buffer | undefined): boolean {
  const login = c.login!;
  const wish = login.wish!;
  const known = new Set([...login.hashes, ...(login.upgrade?.done.map(({ hash }) => hash) ?? [])]);
  const task = wish.upgrades.find((name) => Object.hasOwn(UPGRADES, name) && !known.has(UPGRADES[name]!));
  if (login.upgrade !== undefined) login.upgrade.isOver = true;
  if (task === undefined) return false;
  wish.upgrades = wish.upgrades.filter((name) => name !== task);
  const hash = UPGRADES[task]!;
  const begun = login.upgrade;
  if (begun === undefined) {
    const iterations = c.environment.config.accounts.scramIterations;
    login.upgrade = { username, task, hash, salt: undefined, isOver: false, iterations, done: [] };
  } else {
    Object.assign(begun, { task, hash, salt: undefined, isOver: false });
  }
  const proof = data === undefined || begun !== undefined ? '' : `<additional-data>${data.toString('base64')}</additional-data>`;
  c.link.write(`<continue xmlns='${NS.sasl2}'>${proof}<tasks><task>${task}</task></tasks></continue>`);
  c.link.request(1);
  return true;
}

/** `<next/>`, then `<task-data/>`. */
export function takeUpgrade(c: Connection, frame: Frame): C2sState {
  const { profile } = c.login!;
  const upgrade = c.login!.upgrade!;
  if (frame.name === 'next' && upgrade.salt === undefined && attributeOf(frame, 'task') === upgrade.task) {
    upgrade.salt = randomBytes(SALT_BYTES);
    const salt = `<salt xmlns='${NS_SCRAM}' iterations='${upgrade.iterations}'>${upgrade.salt.toString('base64')}</salt>`;
    c.link.write(`<task-data xmlns='${NS.sasl2}'>${salt}</task-data>`);
    c.link.request(1);
    return 'wait_for_sasl_response';
  }
  if (frame.name !== 'task-data' || upgrade.salt === undefined) return c.fail('policy-violation');
  const { hash, salt, iterations } = upgrade;
  const salted = profile.decode(elementOf(frame)?.child('hash', NS_SCRAM)?.text() ?? '');
  if (salted?.length !== SCRAM_HASHES[hash].bytes) return failed(c, profile, 'malformed-request', 'that is no salted password');
  upgrade.done.push(credentialsFrom(salted, hash, iterations, salt));
  return profile.succeeded(c, upgrade.username, undefined);
}
