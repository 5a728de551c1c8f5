/** What the peers' table is made of: scenarios with their options, by a name that `--only` takes. */
import type { OptionValue } from '../load/scenario.ts';
import { scenarioNamed } from '../load/scenarios/index.ts';
import type { Contestant } from './contestants.ts';

export interface Entry {
  readonly title: string;
  readonly scenario: string;
  readonly options: Readonly<Record<string, OptionValue>>;
  /** Peers with an archive take part beside those without. */
  readonly isAboutArchives?: boolean;
  /** Not where the contestant cannot do it. */
  readonly suits?: (contestant: Contestant) => boolean;
  /** Only when asked for by name: it takes long. */
  readonly isExtra?: boolean;
}

export const PLAN: readonly Entry[] = [
  { title: 'chat, window 1', scenario: 'chat', options: { pairs: 200, window: 1 }, isAboutArchives: true },
  { title: 'chat, window 16', scenario: 'chat', options: { pairs: 200, window: 16 }, isAboutArchives: true },
  { title: 'chat, 1,000 pairs, window 1', scenario: 'chat', options: { pairs: 1_000, window: 1 }, isExtra: true },
  { title: 'chat, 1,000 pairs, window 16', scenario: 'chat', options: { pairs: 1_000, window: 16 }, isExtra: true },
  { title: 'login, PLAIN', scenario: 'login', options: { mechanism: 'PLAIN' } },
  { title: 'login, SCRAM-SHA-1', scenario: 'login', options: { mechanism: 'SCRAM-SHA-1' } },
  { title: 'login, SCRAM-SHA-1, STARTTLS', scenario: 'login', options: { mechanism: 'SCRAM-SHA-1', security: 'starttls' } },
  { title: 'chat at 5,000/s', scenario: 'chat-rate', options: { rate: 5_000 } },
  { title: 'chat at 10,000/s', scenario: 'chat-rate', options: { rate: 10_000 } },
  {
    title: 'component, echo',
    scenario: 'component',
    options: { users: 100, window: 4 },
    suits: ({ server }) => server !== 'jabberd2',
  },
  { title: 'register', scenario: 'register', options: {}, isExtra: true },
  { title: 'login, 20 contacts online', scenario: 'contacts', options: {} },
  { title: 'roster set', scenario: 'roster', options: {} },
  { title: 'presence broadcast', scenario: 'presence-broadcast', options: {} },
  { title: 'presence storm', scenario: 'presence-storm', options: {} },
  { title: 'offline', scenario: 'offline', options: {}, isAboutArchives: true },
  { title: 'archive paging', scenario: 'archive', options: {} },
  {
    title: 'reconnect, resumed',
    scenario: 'reconnect',
    options: { sessions: 5_000 },
    suits: ({ canResume }) => canResume,
  },
  { title: 'reconnect, anew', scenario: 'reconnect', options: { sessions: 5_000, resume: false } },
  { title: 'idle sessions', scenario: 'idle', options: { sessions: 5_000 } },
  { title: 'idle sessions, TLS', scenario: 'idle', options: { sessions: 2_000, security: 'starttls' } },
];

/** Entries whose titles hold one of `wanted`; without, all but the extra ones. */
export function entriesOf(wanted: readonly string[]): Entry[] {
  if (wanted.length === 0) return PLAN.filter(({ isExtra = false }) => !isExtra);
  const found = PLAN.filter(({ title, scenario }) => wanted.some((each) => title.includes(each) || scenario === each));
  if (found.length === 0)
    throw new Error(`nothing is called ${wanted.join(' or ')}: there are\n  ${PLAN.map(({ title }) => title).join('\n  ')}`);
  return found;
}

export function suits(entry: Entry, contestant: Contestant): boolean {
  const { needsArchive = false } = scenarioNamed(entry.scenario);
  if (needsArchive && !contestant.hasArchive) return false;
  if (contestant.server !== 'rookery' && contestant.hasArchive && !needsArchive && entry.isAboutArchives !== true) return false;
  return entry.suits?.(contestant) ?? true;
}
