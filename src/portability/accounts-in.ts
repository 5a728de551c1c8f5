/**
 * The accounts in a file of XEP-0227, one element after the other, across the files it includes (§5). Which of the
 * elements mean anything is for others to say.
 */
import { createReadStream } from 'node:fs';
import { dirname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import type { ElementName } from '../core/portable.ts';
import { OperatorError } from '../kernel/errors.ts';
import { isArchiveKey } from '../log/archive-id.ts';
import type { Frame } from '../xml/frame.ts';
import { DocumentError, XmlDocument, type Containers, type Piece } from './document.ts';
import { ARCHIVE_KEY, currentNs, HOST, nameKey, NS_XINCLUDE, SERVER_DATA, USER } from './names.ts';

/** Where something stands. */
export interface Place {
  readonly file: string;
  /** From 1. */
  readonly line: number;
}

/** What a reader of accounts meets, in this order: a user, its elements, its end. */
export type AccountPiece =
  | UserPiece
  /** A child of `<user/>`, or of a container within. */
  | { readonly kind: 'element'; readonly within: string | undefined; readonly frame: Frame; readonly place: Place }
  | { readonly kind: 'user_end' }
  /** Nothing of XEP-0227, where nobody else could know it: outside of users, or an attribute of one. */
  | { readonly kind: 'stray'; readonly name: string };

export interface UserPiece {
  readonly kind: 'user';
  readonly host: string;
  readonly name: string;
  readonly password: string | undefined;
  /** See ARCHIVE_KEY. */
  readonly archiveKey: string | undefined;
  readonly place: Place;
}

/** A chain of inclusions; longer ones go round in circles. */
const MAX_INCLUDED = 8;
const CHUNK_BYTES = 256 * 1024;

/** What an open container is. */
type Part = 'server-data' | 'host' | 'user' | 'within' | 'other';

interface Frontier {
  readonly part: Part;
  /** Of a container within a user. */
  readonly key?: string;
}

interface Walk {
  /** Where the first file is: what others may be included from. */
  readonly root: string;
  readonly within: ReadonlySet<string>;
  readonly withinNames: readonly string[];
  host: string | undefined;
}

/**
 * Reads `file`.
 *
 * @param within containers inside of users whose children are given one by one.
 * @throws OperatorError ERR_IMPORT_FILE where a file cannot be read, ERR_IMPORT_XML, naming file and line, where it is no XEP-0227.
 */
export async function* accountsIn(file: string, within: readonly ElementName[]): AsyncGenerator<AccountPiece> {
  const walk: Walk = {
    root: dirname(resolve(file)),
    within: new Set(within.map(([name, ns]) => nameKey(name, ns))),
    withinNames: within.map(([name]) => name),
    host: undefined,
  };
  yield* readFile(walk, resolve(file), { part: 'other' }, 0);
}

async function* readFile(walk: Walk, file: string, outer: Frontier, depth: number): AsyncGenerator<AccountPiece> {
  const stack: Frontier[] = [];
  const containers = containersOf(walk, () => stack.at(-1) ?? outer);
  await using document = new XmlDocument(createReadStream(file, { highWaterMark: CHUNK_BYTES }), containers);
  try {
    for (;;) {
      const piece = await document.next();
      if (piece === undefined) return;
      if (piece.kind === 'close') {
        if (stack.pop()!.part === 'user') yield { kind: 'user_end' };
        continue;
      }
      const place = { file, line: piece.line };
      const around = stack.at(-1) ?? outer;
      if (piece.kind === 'open') {
        const frontier = enter(walk, piece, around);
        stack.push(frontier);
        if (frontier.part !== 'user') continue;
        const user = userOf(walk, piece, place);
        yield user;
        for (const key of piece.attrs.keys()) {
          const isKnown = key === 'name' || key === 'password' || (key === nameKey(...ARCHIVE_KEY) && user.archiveKey !== undefined);
          if (!isKnown) yield { kind: 'stray', name: `${key} (attribute of a user)` };
        }
        continue;
      }
      const { frame } = piece;
      const isInclude = frame.name === 'include' && frame.ns === NS_XINCLUDE && around.part !== 'within'; // §5: not deeper in users
      if (isInclude) yield* readFile(walk, included(walk, frame, place, depth), around, depth + 1);
      else if (around.part === 'user' || around.part === 'within') yield { kind: 'element', within: around.key, frame, place };
      else if (stack.length === 0 && depth === 0)
        throw new DocumentError(piece.line, 'This is no file of XEP-0227: its first element is not <server-data/>.');
      else yield { kind: 'stray', name: nameKey(frame.name, frame.ns) };
    }
  } catch (error) {
    if (error instanceof DocumentError) throw badXml({ file, line: error.line }, error.message);
    throw fileError(error, file);
  }
}

function containersOf({ within, withinNames }: Walk, around: () => Frontier): Containers {
  return {
    names: new Set(['server-data', 'host', 'user', ...withinNames]),
    has(name, ns) {
      const key = nameKey(name, currentNs(ns));
      switch (around().part) {
        case 'other':
          return key === nameKey(...SERVER_DATA) || key === nameKey(...HOST) || key === nameKey(...USER);
        case 'server-data':
          return key === nameKey(...HOST);
        case 'host':
          return key === nameKey(...USER);
        case 'user':
          return within.has(key);
        case 'within':
          return false;
      }
    },
  };
}

function enter(walk: Walk, { name, ns, attrs, line }: Extract<Piece, { kind: 'open' }>, around: Frontier): Frontier {
  if (around.part === 'user') return { part: 'within', key: nameKey(name, currentNs(ns)) };
  if (name === 'host') {
    walk.host = attrs.get('jid');
    if (walk.host === undefined) throw new DocumentError(line, 'A host has no jid.'); // §4.1
  }
  return { part: name as Part };
}

/** §4.2 */
function userOf({ host }: Walk, { attrs, line }: Extract<Piece, { kind: 'open' }>, place: Place): UserPiece {
  const name = attrs.get('name');
  if (name === undefined) throw new DocumentError(line, 'A user has no name.');
  if (host === undefined) throw new DocumentError(line, 'A user is in no host.');
  const archiveKey = attrs.get(nameKey(...ARCHIVE_KEY));
  return {
    kind: 'user',
    host,
    name,
    password: attrs.get('password'),
    archiveKey: archiveKey !== undefined && isArchiveKey(archiveKey) ? archiveKey : undefined,
    place,
  };
}

/** §5: relative, and no further than the directory of the first file, since whoever wrote the data may not be whoever reads it. */
function included({ root }: Walk, frame: Frame, { file, line }: Place, depth: number): string {
  const attrs = new Map<string, string>();
  for (let i = 0; i < frame.attrs.length; i += 2) attrs.set(frame.attrs[i]!, frame.attrs[i + 1]!);
  const href = decoded(attrs.get('href') ?? '');
  if (attrs.has('xpointer') || (attrs.get('parse') ?? 'xml') !== 'xml')
    throw new DocumentError(line, 'Only whole XML files can be included.');
  if (href === undefined || href === '' || isAbsolute(href) || /^[A-Za-z][A-Za-z0-9+.-]*:/.test(href) || /[?#\0]/.test(href))
    throw new DocumentError(line, 'Only files can be included, by a relative path.');
  const path = join(dirname(file), href);
  const way = relative(root, path);
  if (way === '..' || way.startsWith(`..${sep}`))
    throw new DocumentError(line, 'A file outside of the directory of the first file cannot be included.');
  if (depth + 1 >= MAX_INCLUDED) throw new DocumentError(line, 'Files include each other too deeply.');
  return path;
}

function decoded(href: string): string | undefined {
  try {
    return decodeURIComponent(href);
  } catch {
    return undefined; // no URI: RFC 3986 §2.1
  }
}

/** For the operator: where, and why. */
export function badXml({ file, line }: Place, reason: string): OperatorError {
  return new OperatorError('ERR_IMPORT_XML', `${file}, line ${line}: ${reason} Nothing was imported.`);
}

function fileError(error: unknown, file: string): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (error instanceof OperatorError || code === undefined) return error;
  return new OperatorError('ERR_IMPORT_FILE', `${file} cannot be read (${code}). Nothing was imported.`, { cause: error });
}
