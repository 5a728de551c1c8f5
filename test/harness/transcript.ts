/**
 * Transcripts: tests written as a conversation. `TRANSCRIPT_TARGET` chooses whom they are played
 * against: our own server in memory (default) or as a process (`rookery`), `prosody` or `ejabberd` as installed
 * on this machine, or `tcp` for any other (see `foreign-target.ts`). See `match.ts` for what an expectation may say.
 *
 *     transcript('XEP-0199 §4.2: the server answers a ping', async ({ romeo }) => {
 *       await romeo.sends(`<iq type='get' id='p1' to='${romeo.domain}'><ping xmlns='urn:xmpp:ping'/></iq>`);
 *       await romeo.receives(`<iq type='result' id='p1' from='${romeo.domain}'/>`);
 *     });
 */
import assert from 'node:assert/strict';
import { after, test, type TestContext } from 'node:test';
import { Cast, NotPlayable, withNames, type CastOfClients } from './cast.ts';
import { startMemoryTarget } from './memory-target.ts';
import type { Target, TargetOptions } from './target.ts';

export interface TranscriptOptions extends TargetOptions {
  /** Why this can only be played against our own server, e.g. that it is our choice where the RFC leaves one. */
  readonly onlyOurs?: string;
  /** Servers that are known to fail it, and what they do instead: because they are wrong, or free to. */
  readonly differs?: Readonly<Record<string, string>>;
}

const TARGET = process.env['TRANSCRIPT_TARGET'] ?? 'memory';
let foreign: Promise<Target> | undefined;

after(async () => {
  await (await foreign)?.[Symbol.asyncDispose]();
});

/** Declares a test. The cast's clients are logged in before the first of them acts. */
export function transcript(title: string, play: (cast: CastOfClients) => Promise<void>): void;
export function transcript(title: string, options: TranscriptOptions, play: (cast: CastOfClients) => Promise<void>): void;
export function transcript(
  title: string,
  ...rest: [(cast: CastOfClients) => Promise<void>] | [TranscriptOptions, (cast: CastOfClients) => Promise<void>]
): void {
  const [options, play] = rest.length === 1 ? [{}, rest[0]] : rest;
  test(title, async (context) => {
    const skip = TARGET === 'memory' ? undefined : whyNotForeign(options);
    if (skip !== undefined) {
      context.skip(skip);
      return;
    }
    if (TARGET === 'memory') await playInMemory(options, play);
    else await playElsewhere(await foreignTarget(), play, options.differs?.[TARGET], context);
  });
}

async function playInMemory(options: TranscriptOptions, play: (cast: CastOfClients) => Promise<void>): Promise<void> {
  const target = await startMemoryTarget(options);
  const cast = withNames(new Cast(target));
  try {
    await play(cast);
  } catch (error) {
    throw target.crashes.length === 0 ? error : new Error(target.crashes.join('\n'), { cause: error });
  } finally {
    await cast.leave();
    await target[Symbol.asyncDispose]();
  }
  assert.deepEqual(target.crashes, [], 'no actor crashes');
}

/** @param differs why that server is known to fail this transcript. */
async function playElsewhere(
  target: Target,
  play: (cast: CastOfClients) => Promise<void>,
  differs: string | undefined,
  context: TestContext,
): Promise<void> {
  const cast = withNames(new Cast(target));
  try {
    await play(cast);
    if (differs !== undefined) context.diagnostic(`this was to fail and does not: ${differs}`);
  } catch (error) {
    if (error instanceof NotPlayable) context.skip(error.message);
    else if (differs !== undefined) context.skip(`it differs: ${differs}`);
    else throw error;
  } finally {
    await cast.leave();
  }
}

function whyNotForeign({ config, modules, onlyOurs }: TranscriptOptions): string | undefined {
  if (onlyOurs !== undefined && TARGET !== 'rookery') return onlyOurs;
  return config === undefined && modules === undefined ? undefined : 'needs its own configuration';
}

async function foreignTarget(): Promise<Target> {
  const { startForeignTarget } = await import('./foreign-target.ts');
  return (foreign ??= startForeignTarget(TARGET));
}
