/** All ad-hoc commands of a host: those that modules declare, and a form for every other command of the registry. */
import { argumentsOf, type Argument } from '../../core/arguments.ts';
import { stage, type AdhocCommand, type AdhocResult, type AdhocValues } from '../../core/adhoc.ts';
import type { AnyCommand, Report } from '../../core/command.ts';
import type { Host } from '../../core/host.ts';
import { dataFormElement, formTypeField, type FormField } from '../../xmpp/data-form.ts';
import {
  booleanField,
  choiceField,
  defineForm,
  integerField,
  jidField,
  linesField,
  privateField,
  textField,
  type FieldSpec,
} from '../../xmpp/form-schema.ts';
import type { Jid } from '../../xmpp/jid.ts';

/** Forms and nodes of commands that no specification names. */
const NS_ROOKERY = 'urn:rookery:commands';

const known = new WeakMap<Host, ReadonlyMap<string, AdhocCommand>>();

/** By node. Worked out once, since modules are fixed when the host starts. */
export function catalogueOf(host: Host): ReadonlyMap<string, AdhocCommand> {
  let catalogue = known.get(host);
  if (catalogue === undefined) {
    const { table } = host.services.commands;
    const declared = host.modules.flatMap(({ adhoc = [] }) => adhoc);
    const covered = new Set(declared.map(({ command }) => command));
    const made = [...table.values()].filter((command) => isForForms(command) && !covered.has(command.name)).map(commandForm);
    catalogue = new Map([...declared, ...made].map((command) => [command.node, command]));
    known.set(host, catalogue);
  }
  return catalogue;
}

/** What streams, or is for whoever is at the machine, has no form. */
function isForForms(command: AnyCommand): boolean {
  return 'run' in command && command.role !== 'operator';
}

/** A command as one form, or none where it has no arguments. */
export function commandForm(command: AnyCommand): AdhocCommand {
  const all = argumentsOf(command.args);
  const schema = defineForm({
    formType: NS_ROOKERY,
    title: command.summary,
    instructions: ['Fill out this form.'],
    fields: Object.fromEntries(all.map((argument) => [argument.name, fieldFor(argument)])),
  });
  const initial = Object.fromEntries(all.flatMap(({ name, default: value }) => (value === undefined ? [] : [[name, value]])));
  return {
    node: `${NS_ROOKERY}#${command.name.replaceAll(' ', '-')}`,
    name: command.summary,
    command: command.name,
    stages: all.length === 0 ? [] : [stage(schema, () => initial as never)],
    async run(values, { run }) {
      const result = await run(command.name, argumentsFrom(values));
      return 'run' in command ? shown(command.report?.(result) ?? { text: 'Done.' }) : {};
    },
  };
}

/** As the registry's schema takes them: an empty text is one that was left out. */
function argumentsFrom(values: AdhocValues): Record<string, unknown> {
  const present = Object.entries(values).filter(([, value]) => value !== '' && value !== undefined);
  return Object.fromEntries(present.map(([name, value]) => [name, isJid(value) ? value.full : value]));
}

const isJid = (value: unknown): value is Jid => typeof value === 'object' && value !== null && 'full' in value;

// oxlint-disable-next-line typescript/no-explicit-any
function fieldFor({ title, type, isRequired, choices }: Argument): FieldSpec<any> {
  const texts = { label: title, isRequired };
  switch (type) {
    case 'address':
      return jidField(texts);
    case 'password':
      return privateField(texts);
    case 'lines':
      return linesField({ ...texts, maxLength: 10_000 });
    case 'number':
      return integerField(texts);
    case 'flag':
      return booleanField(texts);
    case 'choice':
      return choiceField(Object.fromEntries(choices.map((choice) => [choice, choice])), texts);
    case 'line':
      return textField(texts);
  }
}

/** A report as notes and a form of results. XEP-0004 §3.4 */
export function shown({ text, facts = [], table }: Report): AdhocResult {
  const notes = [...(table !== undefined && table.rows.length === 0 ? [table.empty] : []), ...(text === undefined ? [] : [text])];
  const fields: FormField[] = facts.map(([name, value]) => ({
    var: varOf(name),
    type: 'text-single',
    label: name,
    values: [String(value)],
  }));
  const columns = (table?.columns ?? []).map((title): FormField => ({ var: varOf(title), type: 'text-single', label: title, values: [] }));
  const items = (table?.rows ?? []).map((row) =>
    row.map((cell, index): FormField => ({ var: columns[index]!.var, values: [String(cell)] })),
  );
  const hasForm = fields.length > 0 || items.length > 0;
  const form = {
    kind: 'result' as const,
    fields: [formTypeField(NS_ROOKERY), ...fields],
    ...(items.length > 0 ? { reported: columns, items } : {}),
  };
  return { notes: notes.map((each) => ({ type: 'info' as const, text: each })), payload: hasForm ? [dataFormElement(form)] : [] };
}

/** A title as the name of a field. */
function varOf(title: string): string {
  return title.toLowerCase().replace(/[^a-z0-9]+/g, '_');
}
