/** What an operator is told of a configuration that cannot be used. */

/** Stable names of what can be wrong; the README's error table explains each. */
export type ConfigProblemCode =
  /** An environment variable, key, section or module that does not exist. */
  | 'ERR_CONFIG_UNKNOWN'
  /** A value of the wrong kind or out of bounds. */
  | 'ERR_CONFIG_VALUE'
  /** Values that are right alone but not together. */
  | 'ERR_CONFIG_CONFLICT'
  /** The file cannot be read. */
  | 'ERR_CONFIG_FILE'
  /** The file is not TOML. */
  | 'ERR_CONFIG_SYNTAX';

/** One thing that is wrong. */
export interface ConfigProblem {
  readonly code: ConfigProblemCode;
  /** As the operator wrote it: a variable, or a key of the file. */
  readonly key: string;
  /** As the operator wrote it; undefined where only the key matters. */
  readonly value?: string | undefined;
  /** The rest of the sentence that starts with the key. */
  readonly reason: string;
  /** What may have been meant. */
  readonly suggestion?: string | undefined;
}

/** The configuration cannot be used. Lists everything that is wrong with it, not just the first. */
export class ConfigError extends Error {
  /** Of the first problem. */
  readonly code: ConfigProblemCode;
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly [ConfigProblem, ...ConfigProblem[]]) {
    super(problems.map(describeProblem).join('\n'));
    this.name = 'ConfigError';
    this.code = problems[0].code;
    this.problems = problems;
  }
}

/** One line, code first. */
export function describeProblem({ code, key, value, reason, suggestion }: ConfigProblem): string {
  const written = value === undefined ? key : `${key} = ${value}`;
  return `${code}: ${written}: ${reason}${suggestion === undefined ? '' : `; did you mean ${suggestion}?`}`;
}
