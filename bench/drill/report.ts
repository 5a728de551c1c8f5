/** What a drill has found, in figures, in words and as tables. */
import type { FlowFindings, ViewFindings } from './checker.ts';
import type { Return } from './client.ts';
import { FAULT_KINDS, type FaultKind } from './faults.ts';

/** Why a session had no connection for a while. */
export type Cause = FaultKind | 'away_over_kill' | 'unexplained';

/** A time of one client without a connection. */
export interface Episode {
  readonly cause: Cause;
  /** `resumed`; `refused` to resume; `anew`: there was no session to resume yet; `missing`: has not come back. */
  readonly how: Return | 'missing';
  readonly ms: number;
}

export interface CauseFigures {
  readonly injected: number;
  /** Sessions that lost their connection. */
  readonly sessions: number;
  readonly resumed: number;
  readonly refused: number;
  readonly anew: number;
  readonly missing: number;
  /** Time without a connection. */
  readonly medianMs: number;
  readonly maxMs: number;
}

export interface ViewFigures {
  readonly messages: number;
  readonly lost: number;
  readonly doubled: number;
  /** Because a session was refused: not counted in `doubled`. */
  readonly doubledByRefusal: number;
  readonly outOfOrder: number;
  readonly unknown: number;
}

export interface DrillReport {
  readonly target: string;
  readonly seed: number;
  readonly pairs: number;
  readonly seconds: number;
  readonly isAtRest: boolean;
  readonly faults: Readonly<Partial<Record<Cause, CauseFigures>>>;
  readonly sent: number;
  readonly acknowledged: number;
  /** Came back to their senders as errors; not counted as lost. */
  readonly returned: number;
  readonly live: ViewFigures;
  readonly recipientArchive: ViewFigures | undefined;
  readonly senderArchive: ViewFigures | undefined;
  /** Neither received live nor found in the recipient's archive. */
  readonly lostForGood: number;
  readonly changedIds: number;
  /** Requests (pings) that never got an answer, and those that got more than one. No message is lost by it: told, but not judged. */
  readonly unanswered: number;
  readonly answeredTwice: number;
  readonly sessionsRefused: number;
  /** Reasons the server gave for refusing, and how often. */
  readonly refusals: Readonly<Record<string, number>>;
  /** Everything that must not be, a sentence each. Empty: passed. */
  readonly problems: readonly string[];
  /** What happened to some of the clients concerned. */
  readonly traces: readonly { readonly who: string; readonly events: readonly string[] }[];
}

export interface ReportInput {
  readonly target: string;
  readonly seed: number;
  readonly pairs: number;
  readonly seconds: number;
  readonly isAtRest: boolean;
  readonly injected: ReadonlyMap<Cause, number>;
  readonly episodes: readonly Episode[];
  readonly findings: readonly FlowFindings[];
  readonly violations: readonly string[];
  readonly refusals: ReadonlyMap<string, number>;
  /** An actor that throws answers the stanza it was at with an error: then messages may come back. */
  readonly mayReturn: boolean;
  readonly unanswered: number;
  readonly answeredTwice: number;
  readonly traces: DrillReport['traces'];
}

const MAX_VIOLATIONS = 20;
const MAX_EXAMPLES = 5;

export function makeReport(input: ReportInput): DrillReport {
  const { findings } = input;
  const live = viewFigures(findings.map((flow) => flow.live))!;
  const recipientArchive = viewFigures(findings.map((flow) => flow.recipientArchive));
  const senderArchive = viewFigures(findings.map((flow) => flow.senderArchive));
  const returned = sum(findings, (flow) => flow.returned);
  const refused = input.episodes.filter(({ how }) => how === 'refused').length;
  const changedIds = sum(findings, (flow) => flow.changedIds.length);
  const problems = [
    ...viewProblems('live', live, findings, (flow) => flow.live),
    ...viewProblems("recipient's archive", recipientArchive, findings, (flow) => flow.recipientArchive),
    ...viewProblems("sender's archive", senderArchive, findings, (flow) => flow.senderArchive),
  ];
  if (refused > 0) problems.push(`${refused} sessions could not be resumed`);
  if (input.unanswered > 0) problems.push(`${input.unanswered} pings were never answered`); // RFC 6120 §8.2.3
  if (changedIds > 0) problems.push(`${changedIds} messages have another id in the archive than they came with`);
  const both = sum(findings, (flow) => flow.returnedButDelivered.length);
  if (both > 0) problems.push(`${both} messages came back as errors and were delivered all the same`);
  if (returned > 0 && !input.mayReturn) problems.push(`${returned} messages came back as errors`);
  problems.push(...input.violations.slice(0, MAX_VIOLATIONS));
  if (input.violations.length > MAX_VIOLATIONS) problems.push(`and ${input.violations.length - MAX_VIOLATIONS} more like these`);
  const { target, seed, pairs, seconds, isAtRest, refusals, traces } = input;
  return {
    target,
    seed,
    pairs,
    seconds,
    isAtRest,
    faults: causeFigures(input),
    sent: sum(findings, (flow) => flow.sent),
    acknowledged: sum(findings, (flow) => flow.acknowledged),
    returned,
    live,
    recipientArchive,
    senderArchive,
    lostForGood: sum(findings, (flow) => flow.lostForGood.length),
    changedIds,
    unanswered: input.unanswered,
    answeredTwice: input.answeredTwice,
    sessionsRefused: refused,
    refusals: Object.fromEntries(refusals),
    problems,
    traces,
  };
}

function causeFigures({ injected, episodes }: ReportInput): DrillReport['faults'] {
  const figures: Partial<Record<Cause, CauseFigures>> = {};
  for (const cause of [...FAULT_KINDS, 'away_over_kill', 'unexplained'] as const) {
    const own = episodes.filter((episode) => episode.cause === cause);
    const count = injected.get(cause) ?? 0;
    if (own.length === 0 && count === 0) continue;
    const times = own.map(({ ms }) => ms).sort((one, other) => one - other);
    const ended = (how: Episode['how']): number => own.filter((episode) => episode.how === how).length;
    figures[cause] = {
      injected: count,
      sessions: own.length,
      resumed: ended('resumed'),
      refused: ended('refused'),
      anew: ended('anew'),
      missing: ended('missing'),
      medianMs: Math.round(times[Math.floor(times.length / 2)] ?? 0),
      maxMs: Math.round(times.at(-1) ?? 0),
    };
  }
  return figures;
}

function viewFigures(views: readonly (ViewFindings | undefined)[]): ViewFigures | undefined {
  const read = views.filter((view) => view !== undefined);
  if (read.length === 0) return undefined;
  return {
    messages: sum(read, ({ present }) => present),
    lost: sum(read, ({ lost }) => lost.length),
    doubled: sum(read, ({ doubled }) => doubled.length),
    doubledByRefusal: sum(read, ({ excused }) => excused.length),
    outOfOrder: sum(read, ({ outOfOrder }) => outOfOrder.length),
    unknown: sum(read, ({ unknown }) => unknown.length),
  };
}

function viewProblems(
  where: string,
  figures: ViewFigures | undefined,
  findings: readonly FlowFindings[],
  view: (flow: FlowFindings) => ViewFindings | undefined,
): string[] {
  if (figures === undefined) return [];
  const problems: string[] = [];
  const tell = (count: number, what: string, numbers: (view: ViewFindings) => readonly number[]): void => {
    if (count === 0) return;
    const examples = findings.flatMap((flow) => {
      const own = view(flow);
      return own === undefined ? [] : numbers(own).map((n) => `${flow.name}:${n}`);
    });
    problems.push(`${where}: ${count} ${what}, such as ${examples.slice(0, MAX_EXAMPLES).join(', ')}`);
  };
  tell(figures.lost, 'acknowledged messages lost', ({ lost }) => lost);
  tell(figures.doubled, 'messages doubled', ({ doubled }) => doubled);
  tell(figures.outOfOrder, 'messages out of order', ({ outOfOrder }) => outOfOrder);
  tell(figures.unknown, 'messages that were never sent', ({ unknown }) => unknown);
  return problems;
}

/** For people: Markdown that also reads well in a terminal. */
export function printReport(report: DrillReport): string {
  const { target, seed, pairs, seconds, sent, acknowledged, returned, live, recipientArchive, senderArchive } = report;
  const lines = [
    `${target}: ${pairs} pairs, ${seconds} s, seed ${seed}`,
    '',
    ...table([
      ['fault', 'times', 'sessions cut off', 'resumed', 'refused', 'anew', 'not back', 'ms away, median', 'longest'],
      ...Object.entries(report.faults).map(([cause, figures]) => [
        cause,
        cause === 'away_over_kill' || cause === 'unexplained' ? '' : figures.injected,
        figures.sessions,
        figures.resumed,
        figures.refused,
        figures.anew,
        figures.missing,
        figures.medianMs,
        figures.maxMs,
      ]),
    ]),
    '',
    ...table([
      ['messages', 'acknowledged', 'there', 'lost', 'doubled', 'doubled by refusal', 'out of order'],
      viewRow('live', acknowledged, live),
      viewRow("recipient's archive", acknowledged, recipientArchive),
      viewRow("sender's archive", acknowledged, senderArchive),
    ]),
    '',
    `sent ${sent}, returned as errors ${returned}` +
      (recipientArchive === undefined ? '; no archive' : `, neither received nor in the recipient's archive ${report.lostForGood}`),
  ];
  lines.push(`pings never answered ${report.unanswered}, answered twice ${report.answeredTwice}`);
  for (const [reason, count] of Object.entries(report.refusals)) lines.push(`refused ${count} times: ${reason}`);
  lines.push('', report.problems.length === 0 ? 'passed' : 'FAILED', ...report.problems.map((problem) => `  ${problem}`));
  return lines.join('\n');
}

function viewRow(name: string, acknowledged: number, figures: ViewFigures | undefined): (string | number)[] {
  if (figures === undefined) return [name, acknowledged, '–', '–', '–', '–', '–'];
  return [name, acknowledged, figures.messages, figures.lost, figures.doubled, figures.doubledByRefusal, figures.outOfOrder];
}

function table(rows: readonly (readonly (string | number)[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => String(row[column]).length)));
  const line = (row: readonly (string | number)[]): string =>
    `| ${row.map((cell, i) => (i === 0 ? String(cell).padEnd(widths[i]!) : String(cell).padStart(widths[i]!))).join(' | ')} |`;
  const [head, ...body] = rows;
  return [
    line(head!),
    `| ${widths.map((width, i) => (i === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)).join(' | ')} |`,
    ...body.map(line),
  ];
}

function sum<T>(items: readonly T[], value: (item: T) => number): number {
  let result = 0;
  for (const item of items) result += value(item);
  return result;
}
