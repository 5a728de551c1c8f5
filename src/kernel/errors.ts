/**
 * Something the operator can put right. Its code is stable and listed in the README; its message is a
 * sentence that says what to do. Makers for particular codes live with the code that throws them.
 */
export class OperatorError extends Error {
  /** `ERR_…`, stable across releases. */
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'OperatorError';
    this.code = code;
  }
}

/** The text of whatever was thrown: what may cross threads in an ExitReason. */
export function errorText(error: unknown): string {
  if (error instanceof Error) return error.message === '' ? error.name : `${error.name}: ${error.message}`;
  return String(error);
}
