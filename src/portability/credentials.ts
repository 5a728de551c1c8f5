/** Passwords as XEP-0227 carries them: SCRAM credentials (§4.4), or in the clear (§4.2). */
import { decodeBase64 } from '../sasl/base64.ts';
import { SCRAM_HASHES, type ScramHash } from '../sasl/scram-credentials.ts';
import type { ScramRecord } from '../sasl/scram-record.ts';
import { el, type Element } from '../xml/element.ts';
import { serialize } from '../xml/serialize.ts';
import { NS_PIE_SCRAM } from './names.ts';

const PREFIX = 'SCRAM-';
/** More would make every login of the account an attack on the server. */
const MAX_ITERATIONS = 10_000_000;
const MAX_SALT_BYTES = 1024;

/** One `<scram-credentials/>`. */
export function scramXml({ hash, iterations, salt, serverKey, storedKey }: ScramRecord): string {
  const child = (name: string, text: string): Element => el(name, NS_PIE_SCRAM, {}, text);
  return serialize(
    el(
      'scram-credentials',
      NS_PIE_SCRAM,
      { mechanism: PREFIX + hash },
      child('iter-count', String(iterations)),
      child('salt', salt),
      child('server-key', serverKey),
      child('stored-key', storedKey),
    ),
  );
}

/** `undefined` for a mechanism that is not known here, or values that are none. */
export function scramOf(element: Element): ScramRecord | undefined {
  const mechanism = element.attr('mechanism') ?? '';
  const text = (name: string): string => element.child(name)?.text().trim() ?? '';
  return recordOf(mechanism, text('iter-count'), text('salt'), text('server-key'), text('stored-key'));
}

/**
 * COMPAT ejabberd up to 20: hashed credentials stand in the attribute for the password,
 * as `scram:<stored key>,<server key>,<salt>,<iterations>`.
 */
export function scramOfPassword(password: string): ScramRecord | undefined {
  const match = /^scram:([^,]+),([^,]+),([^,]+),(\d+)$/.exec(password);
  return match === null ? undefined : recordOf('SCRAM-SHA-1', match[4]!, match[3]!, match[2]!, match[1]!);
}

function recordOf(
  mechanism: string,
  iterationText: string,
  saltText: string,
  serverText: string,
  storedText: string,
): ScramRecord | undefined {
  const hash = mechanism.slice(PREFIX.length);
  if (!mechanism.startsWith(PREFIX) || !isKnown(hash) || !/^[1-9]\d{0,8}$/.test(iterationText)) return undefined;
  const iterations = Number(iterationText);
  const { bytes } = SCRAM_HASHES[hash];
  let [salt, serverKey, storedKey] = [saltText, serverText, storedText].map(decodeBase64);
  if (isTwice(storedKey, bytes) && isTwice(serverKey, bytes)) [salt, serverKey, storedKey] = [salt, serverKey, storedKey].map(again);
  if (salt === undefined || salt.length === 0 || salt.length > MAX_SALT_BYTES || iterations > MAX_ITERATIONS) return undefined;
  if (storedKey?.length !== bytes || serverKey?.length !== bytes) return undefined;
  return {
    hash,
    iterations,
    salt: salt.toString('base64'),
    storedKey: storedKey.toString('base64'),
    serverKey: serverKey.toString('base64'),
  };
}

/** COMPAT ejabberd: keeps keys in Base64 and exports that text in Base64. */
function isTwice(key: Buffer | undefined, bytes: number): boolean {
  return key !== undefined && key.length !== bytes && again(key)?.length === bytes;
}

function again(once: Buffer | undefined): Buffer | undefined {
  return once === undefined ? undefined : decodeBase64(once.toString('latin1'));
}

function isKnown(hash: string): hash is ScramHash {
  return Object.hasOwn(SCRAM_HASHES, hash);
}
