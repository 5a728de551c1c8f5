/** What the program ends with; scripts rely on these numbers, and the README lists them. */
export const EXIT = {
  ok: 0,
  /** The command was tried and failed. */
  failed: 1,
  /** Wrong command or arguments. */
  usage: 2,
  /** The command needs a running server and there is none. */
  not_running: 3,
  /** The configuration cannot be used. */
  configuration: 4,
  /** `doctor` found something that keeps the server from working. */
  unhealthy: 5,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** The README's table of exit codes, in Markdown. */
export function describeExitCodes(): string {
  const meanings: Record<keyof typeof EXIT, string> = {
    ok: 'Done.',
    failed: 'The command failed; the message says why.',
    usage: 'There is no such command, or its arguments are wrong.',
    not_running: 'The command needs a running server, and none is running with this data directory.',
    configuration: 'The configuration cannot be used; every problem is listed.',
    unhealthy: '`rookery doctor` found an error.',
  };
  const rows = Object.entries(EXIT).map(([name, code]) => `| ${code} | ${meanings[name as keyof typeof EXIT]} |`);
  return ['| Code | Meaning |', '| --- | --- |', ...rows].join('\n');
}
