/**
 * Ad-hoc commands: the commands of the registry, for those who may run them, as forms of their clients. XEP-0050
 *
 * Modules declare what is more than one form (`ModuleSpec.adhoc`); every other command of the registry gets a form made from its
 * arguments. Commands run on the main thread; this waits for them without holding anything up.
 */
import { z } from 'zod';
import { count, duration } from '../../config/types.ts';
import { CommandFailure, type AdhocCommand, type AdhocContext, type AdhocResult, type AdhocValues } from '../../core/adhoc.ts';
import { mayRun } from '../../core/command.ts';
import type { HostContext } from '../../core/context.ts';
import { defineModule, type IqAnswer, type IqRequest, type NodeQuery } from '../../core/module.ts';
import { callerOf } from '../../core/roles.ts';
import { el, type Element } from '../../xml/element.ts';
import type { DiscoInfo } from '../../xmpp/caps.ts';
import { dataFormElement, parseDataForm } from '../../xmpp/data-form.ts';
import { NS } from '../../xmpp/namespaces.ts';
import { StanzaError } from '../../xmpp/stanza-error.ts';
import { catalogueOf } from './catalogue.ts';
import { badRequest, errorFor, NS_COMMANDS } from './errors.ts';
import { sessionsOf, type AdhocSession } from './sessions.ts';

const OPTIONS = z.strictObject({
  /** How long a command waits for the next form. */
  timeout: duration({ min: 10_000, max: 24 * 3_600_000 }).schema.default(600_000),
  /** Commands that one account may have under way; the oldest gives way to a further one. */
  sessions: count({ min: 1, max: 1_000 }).schema.default(10),
});

const adhoc = defineModule({
  name: 'adhoc',
  implements: [{ spec: 'XEP-0050', version: '1.3.0', status: 'complete', note: 'in English, whatever language is asked for' }],
  needs: ['disco'],
  config: OPTIONS,
  features: [NS_COMMANDS],
  iq: [{ type: 'set', to: 'server', payload: ['command', NS_COMMANDS], run: command }],
  serverNodes: { info: nodeInfo, items: nodeItems },
});
export default adhoc;

const ACTIONS: ReadonlySet<string> = new Set(['execute', 'cancel', 'prev', 'next', 'complete']);

/** §2.1 */
function nodeInfo({ host, node, from, session }: NodeQuery): DiscoInfo | StanzaError | undefined {
  if (node === NS_COMMANDS) {
    return { identities: [{ category: 'automation', type: 'command-list', name: 'Commands' }], features: [NS_COMMANDS], forms: [] };
  }
  const wanted = catalogueOf(host).get(node);
  if (wanted === undefined) return undefined;
  if (!isFor(wanted.command, host, callerOf(host, from, session))) return new StanzaError('forbidden'); // §2.2
  return {
    identities: [{ category: 'automation', type: 'command-node', name: wanted.name }],
    features: [NS_COMMANDS, NS.dataForm],
    forms: [],
  };
}

/** §2.2: not all are told the same. */
function nodeItems({ host, node, from, session }: NodeQuery) {
  if (node !== NS_COMMANDS) return catalogueOf(host).has(node) ? [] : undefined;
  const caller = callerOf(host, from, session);
  return [...catalogueOf(host).values()]
    .filter(({ command: name }) => isFor(name, host, caller))
    .map((each) => ({ jid: host.domain, node: each.node, name: each.name }));
}

/** Whether somebody may run a command with some arguments: for an admin of some hosts, those about this one. */
function isFor(name: string, { services, domain }: HostContext['host'], caller: AdhocContext['caller']): boolean {
  const wanted = services.commands.table.get(name);
  if (wanted === undefined || !mayRun(wanted, caller)) return false;
  return wanted.role !== 'admin' || caller.domains === undefined || caller.domains.includes(domain);
}

/** §2.4 */
async function command({ payload, from, session }: IqRequest, { host, now }: HostContext): Promise<IqAnswer> {
  await host.stored.load();
  const node = payload.attr('node');
  const wanted = node === undefined ? undefined : catalogueOf(host).get(node);
  if (wanted === undefined)
    return node === undefined ? new StanzaError('bad-request', 'A command has a node') : new StanzaError('item-not-found');
  const caller = callerOf(host, from, session);
  if (!isFor(wanted.command, host, caller)) return new StanzaError('forbidden'); // §4.4
  const action = payload.attr('action') ?? 'execute';
  if (!ACTIONS.has(action)) return badRequest('malformed-action');
  const context: AdhocContext = {
    host,
    caller,
    now,
    async run(name, args) {
      const outcome = await host.services.commands.run(name, args, caller);
      if (!outcome.ok) throw new CommandFailure(outcome.code, outcome.message);
      return outcome.result;
    },
  };
  const options = host.moduleConfig(adhoc);
  const sessions = sessionsOf(host);
  const id = payload.attr('sessionid');
  try {
    if (id === undefined) {
      if (action !== 'execute') return badRequest('bad-action'); // there is nothing yet to go on with, or back
      const begun = sessions.begin(wanted, from, { now, timeoutMs: options.timeout, perAccount: options.sessions });
      return await show(begun, 0, context);
    }
    const found = sessions.take(id, wanted, from, now);
    if (found instanceof StanzaError) return found;
    const answer = await goOn(found, action, payload, context);
    if (answer instanceof StanzaError) sessions.putBack(found, now, options.timeout);
    return answer;
  } catch (error) {
    return errorFor(error);
  }

  /** Shows the form of a stage, or runs the command where there is none left. */
  async function show(current: AdhocSession, index: number, here: AdhocContext): Promise<IqAnswer> {
    const { stages } = current.command;
    current.index = index;
    if (index === stages.length) return completed(current, await current.command.run(valuesOf(current, index), here));
    const form = await stages[index]!.form(valuesOf(current, index), here);
    sessions.putBack(current, now, options.timeout);
    return answerElement(current, 'executing', actionsElement(index, stages.length), dataFormElement(form));
  }

  async function goOn(current: AdhocSession, given: string, request: Element, here: AdhocContext): Promise<IqAnswer> {
    const { index } = current;
    const isLast = index === current.command.stages.length - 1;
    const meant = given === 'execute' ? (isLast ? 'complete' : 'next') : given;
    if (meant === 'cancel') return answerElement(current, 'canceled'); // §2.4.3
    if (meant === 'prev') return index === 0 ? badRequest('bad-action') : await show(current, index - 1, here);
    if ((meant === 'complete') !== isLast) return badRequest('bad-action');
    const x = request.child('x', NS.dataForm);
    const form = x && parseDataForm(x);
    if (form === undefined) return badRequest('bad-payload');
    const values = current.command.stages[index]!.read({ ...form, kind: 'submit' }); // §3.5.1: whatever type it has
    if (values instanceof StanzaError) return badRequest('bad-payload', values.text);
    current.values[index] = values;
    try {
      return await show(current, index + 1, here);
    } catch (error) {
      current.index = index;
      const told = errorFor(error);
      if (told instanceof StanzaError) return told;
      throw error;
    }
  }
}

function valuesOf({ values }: AdhocSession, before: number): AdhocValues {
  return Object.assign({}, ...values.slice(0, before)) as AdhocValues;
}

/** §3.4: what `execute` means is said, too. */
function actionsElement(index: number, count: number): Element {
  const isLast = index === count - 1;
  const onward = isLast ? 'complete' : 'next';
  return el('actions', NS_COMMANDS, { execute: onward }, index > 0 && el('prev', NS_COMMANDS), el(onward, NS_COMMANDS));
}

function completed(session: AdhocSession, { notes = [], payload = [] }: AdhocResult): Element {
  return answerElement(session, 'completed', ...payload, ...notes.map(({ type, text }) => el('note', NS_COMMANDS, { type }, text)));
}

function answerElement({ id, command: { node } }: AdhocSession, status: string, ...content: Element[]): Element {
  return el('command', NS_COMMANDS, { node, sessionid: id, status, 'xml:lang': 'en' }, ...content);
}

export type { AdhocCommand };
