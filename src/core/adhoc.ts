/**
 * Ad-hoc commands as modules declare them (`ModuleSpec.adhoc`): forms in stages, then something done by way of the registry's
 * commands, which decide who may. The protocol is the module `adhoc`. XEP-0050
 */
import type { Element } from '../xml/element.ts';
import type { DataForm } from '../xmpp/data-form.ts';
import { buildForm, readSubmission, type FieldSpec, type FormSchema, type FormValues } from '../xmpp/form-schema.ts';
import type { StanzaError } from '../xmpp/stanza-error.ts';
import type { PlainCaller } from './command.ts';
import type { Host } from './host.ts';

/** What was submitted so far, by field. */
export type AdhocValues = Readonly<Record<string, unknown>>;

export interface AdhocContext {
  /** That was asked. */
  readonly host: Host;
  readonly caller: PlainCaller;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** Runs a command of the registry as the caller. Rejects with CommandFailure. */
  run(name: string, args: object): Promise<unknown>;
}

/** A command of the registry was refused or failed; `code` is that of an OperatorError. */
export class CommandFailure extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.name = 'CommandFailure';
    this.code = code;
  }
}

/** One form to fill in. */
export interface AdhocStage {
  form(values: AdhocValues, context: AdhocContext): DataForm | Promise<DataForm>;
  /** What was filled in, or why it cannot be taken. */
  read(form: DataForm): AdhocValues | StanzaError;
}

export interface AdhocNote {
  readonly type: 'info' | 'warn' | 'error';
  readonly text: string;
}

export interface AdhocResult {
  readonly notes?: readonly AdhocNote[];
  readonly payload?: readonly Element[];
}

export interface AdhocCommand {
  readonly node: string;
  /** For lists of commands. */
  readonly name: string;
  /** The registry's command that it is made for: who may run that with some arguments sees and may begin this one. */
  readonly command: string;
  /** None: it is run at once. */
  readonly stages: readonly AdhocStage[];
  /** @param values of all stages. A CommandFailure is told to the requester. */
  run(values: AdhocValues, context: AdhocContext): AdhocResult | Promise<AdhocResult>;
}

/** A stage that is a declared form. @param initial what its fields hold at first. */
// oxlint-disable-next-line typescript/no-explicit-any
export function stage<F extends Readonly<Record<string, FieldSpec<any>>>>(
  schema: FormSchema<F>,
  initial: (
    values: AdhocValues,
    context: AdhocContext,
  ) => Partial<FormValues<FormSchema<F>>> | Promise<Partial<FormValues<FormSchema<F>>>> = () => ({}),
): AdhocStage {
  return {
    form: async (values, context) => buildForm(schema, await initial(values, context)),
    read(form) {
      const submission = readSubmission(schema, form);
      return 'kind' in submission && submission.kind === 'submit' ? submission.values : (submission as StanzaError);
    },
  };
}
