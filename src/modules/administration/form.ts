/** What the forms of XEP-0133 have in common. */
import { CommandFailure, stage, type AdhocCommand, type AdhocContext, type AdhocResult, type AdhocValues } from '../../core/adhoc.ts';
import type { Element } from '../../xml/element.ts';
import { dataFormElement, formTypeField, type FormField } from '../../xmpp/data-form.ts';
import { defineForm, jidField, jidsField, type FieldSpec, type FormSchema } from '../../xmpp/form-schema.ts';
import type { Jid } from '../../xmpp/jid.ts';

export const NS_ADMIN = 'http://jabber.org/protocol/admin';

export function nodeOf(word: string): string {
  return `${NS_ADMIN}#${word}`;
}

// oxlint-disable-next-line typescript/no-explicit-any
type Fields = Readonly<Record<string, FieldSpec<any>>>;

export function adminForm<const F extends Fields>(title: string, instructions: string, fields: F): FormSchema<F> {
  return defineForm({ formType: NS_ADMIN, title, instructions: [instructions], fields });
}

/** §4.1 and others: one account. */
export const accountJid = (label: string) => jidField({ label, isRequired: true });
/** §4.2 and others: one or more. */
export const accountJids = (label: string) => jidsField({ label, isRequired: true });

/** A form of results under the namespace of the XEP. */
export function resultForm(fields: readonly FormField[], ...payload: readonly Element[]): Element {
  const form = dataFormElement({ kind: 'result', fields: [formTypeField(NS_ADMIN), ...fields] });
  return payload.length === 0 ? form : withChildren(form, payload);
}

function withChildren(form: Element, added: readonly Element[]): Element {
  return Object.assign(Object.create(Object.getPrototypeOf(form) as object) as Element, form, { children: [...form.children, ...added] });
}

export function jidsIn(values: AdhocValues, name: string): readonly Jid[] {
  return (values[name] as readonly Jid[] | undefined) ?? [];
}

/**
 * A command for each of several addresses. What fails does not keep the others from being done: it is told in notes, or as the
 * answer where nothing was done. XEP-0050 §3.6
 */
export async function forEach(addresses: readonly Jid[], work: (address: string) => Promise<unknown>): Promise<AdhocResult> {
  const failures: CommandFailure[] = [];
  for (const { full } of addresses) {
    try {
      await work(full);
    } catch (error) {
      if (!(error instanceof CommandFailure)) throw error;
      failures.push(error);
    }
  }
  if (failures.length > 0 && failures.length === addresses.length) throw failures[0]!;
  return { notes: failures.map(({ message }) => ({ type: 'error', text: message })) };
}

/** One form that runs one command for each address in `accountjids`. */
export function forAccounts(
  word: string,
  command: string,
  texts: { readonly name: string; readonly title: string; readonly instructions: string; readonly label: string },
): AdhocCommand {
  return {
    node: nodeOf(word),
    name: texts.name,
    command,
    stages: [stage(adminForm(texts.title, texts.instructions, { accountjids: accountJids(texts.label) }))],
    run: (values, { run }: AdhocContext) => forEach(jidsIn(values, 'accountjids'), (address) => run(command, { address })),
  };
}
