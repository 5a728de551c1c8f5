/** What a node can be told to do: the form of its configuration, and what a publisher may ask it to be. XEP-0060 §16.4.4, §7.1.5 */
import {
  booleanField,
  choiceField,
  defineForm,
  integerField,
  readSubmission,
  textField,
  type FieldSpec,
  type FormSchema,
  type FormValues,
} from '../../xmpp/form-schema.ts';
import { FORM_TYPE, type DataForm } from '../../xmpp/data-form.ts';
import { StanzaError } from '../../xmpp/stanza-error.ts';
import { pubsubError } from './errors.ts';
import { NODE_CONFIG, PUBLISH_OPTIONS } from './namespaces.ts';

const MAX_TITLE_LENGTH = 1_000;
const MAX_GROUPS = 100;
const MAX_COUNT = 1_000_000_000;

/** A number, or `max` for as much as the server allows. §16.4.4 */
export type CountOrMax = number | 'max';

function countOrMaxField(label: string): FieldSpec<CountOrMax> {
  return {
    label,
    type: 'text-single',
    print: (value) => [String(value)],
    parse: ([value, ...more]) => {
      if (value === 'max' && more.length === 0) return 'max';
      return more.length === 0 && /^[0-9]{1,10}$/.test(value!) && Number(value) <= MAX_COUNT ? Number(value) : undefined;
    },
    empty: undefined,
  };
}

/** Any names: which groups there are the roster says. */
const groupsField: FieldSpec<readonly string[]> = {
  label: 'Roster groups that may subscribe',
  type: 'list-multi',
  print: (values) => values,
  parse: (values) =>
    values.length <= MAX_GROUPS && values.every((value) => value.length <= MAX_TITLE_LENGTH) ? [...new Set(values)] : undefined,
  empty: [],
};

const FIELDS = {
  'pubsub#title': textField({ label: 'A name for the node', maxLength: MAX_TITLE_LENGTH }),
  'pubsub#description': textField({ label: 'What the node is about', maxLength: MAX_TITLE_LENGTH }),
  'pubsub#language': textField({ label: 'The language of its items', maxLength: 100 }),
  'pubsub#type': textField({ label: 'The namespace of its payloads', maxLength: MAX_TITLE_LENGTH }),
  'pubsub#access_model': choiceField(
    {
      open: 'Anyone',
      presence: 'Whoever sees the owner’s presence',
      roster: 'Contacts in some groups of the roster',
      authorize: 'Whom an owner approves',
      whitelist: 'Whom an owner has listed',
    },
    { label: 'Who may subscribe and retrieve items' },
  ),
  'pubsub#roster_groups_allowed': groupsField,
  'pubsub#publish_model': choiceField(
    { publishers: 'Publishers', subscribers: 'Publishers and subscribers', open: 'Anyone' },
    { label: 'Who may publish items' },
  ),
  'pubsub#persist_items': booleanField({ label: 'Keep items' }),
  'pubsub#max_items': countOrMaxField('How many items to keep'),
  'pubsub#publish_node_full': choiceField(
    { 'retract-oldest': 'Remove the oldest item', 'discard-oldest': 'Drop the oldest item', reject: 'Refuse the new one' },
    { label: 'What to do when the node is full' },
  ),
  'pubsub#item_expire': countOrMaxField('Seconds after which an item is removed'),
  'pubsub#max_payload_size': integerField({ label: 'Size of a payload in bytes at most' }),
  'pubsub#send_last_published_item': choiceField(
    { never: 'Never', on_sub: 'When somebody subscribes', on_sub_and_presence: 'When somebody subscribes or becomes available' },
    { label: 'When to send the last item' },
  ),
  'pubsub#deliver_notifications': booleanField({ label: 'Send notifications' }),
  'pubsub#deliver_payloads': booleanField({ label: 'Send payloads with notifications' }),
  'pubsub#notification_type': choiceField({ headline: 'Headline', normal: 'Normal' }, { label: 'Type of the messages' }),
  'pubsub#notify_config': booleanField({ label: 'Tell subscribers of changes of the configuration' }),
  'pubsub#notify_delete': booleanField({ label: 'Tell subscribers of the end of the node' }),
  'pubsub#notify_retract': booleanField({ label: 'Tell subscribers of items that are removed' }),
  'pubsub#notify_sub': booleanField({ label: 'Tell owners of subscribers that come and go' }),
  'pubsub#subscribe': booleanField({ label: 'Whether anyone may subscribe at all' }),
} as const;

type Fields = typeof FIELDS;
export type NodeConfig = FormValues<FormSchema<Fields>>;
export type AccessModel = NodeConfig['pubsub#access_model'];

export const CONFIG_FORM = defineForm({ formType: NODE_CONFIG, title: 'Configuration of the node', fields: FIELDS });
const OPTIONS_FORM = defineForm({ formType: PUBLISH_OPTIONS, fields: FIELDS });

const COMMON = {
  'pubsub#title': '',
  'pubsub#description': '',
  'pubsub#language': '',
  'pubsub#type': '',
  'pubsub#roster_groups_allowed': [],
  'pubsub#publish_model': 'publishers',
  'pubsub#persist_items': true,
  'pubsub#item_expire': 'max',
  'pubsub#publish_node_full': 'retract-oldest',
  'pubsub#deliver_notifications': true,
  'pubsub#deliver_payloads': true,
  'pubsub#notification_type': 'headline',
  'pubsub#notify_config': false,
  'pubsub#notify_delete': true,
  'pubsub#notify_retract': true,
  'pubsub#notify_sub': false,
  'pubsub#subscribe': true,
} as const;

/** XEP-0163 §3: presence access, the last item only, sent to whoever becomes available. */
export function accountDefaults(maxPayloadBytes: number): NodeConfig {
  return {
    ...COMMON,
    'pubsub#access_model': 'presence',
    'pubsub#max_items': 1,
    'pubsub#max_payload_size': maxPayloadBytes,
    'pubsub#send_last_published_item': 'on_sub_and_presence',
  };
}

export function serviceDefaults(maxPayloadBytes: number): NodeConfig {
  return {
    ...COMMON,
    'pubsub#access_model': 'open',
    'pubsub#max_items': 20,
    'pubsub#max_payload_size': maxPayloadBytes,
    'pubsub#send_last_published_item': 'on_sub',
  };
}

/** The configuration with what a form asks for. §8.2.4, §8.1.3 */
export function configured(config: NodeConfig, form: DataForm, allowed: ConfigLimits): NodeConfig | StanzaError {
  const read = readSubmission(CONFIG_FORM, form);
  if (read instanceof StanzaError) return read;
  return read.kind === 'cancel' ? config : merged(config, read.values, allowed);
}

export interface ConfigLimits {
  readonly accessModels: readonly AccessModel[];
  readonly maxPayloadBytes: number;
}

function merged(
  config: NodeConfig,
  values: Partial<NodeConfig>,
  { accessModels, maxPayloadBytes }: ConfigLimits,
): NodeConfig | StanzaError {
  const next = { ...config, ...values };
  if (!accessModels.includes(next['pubsub#access_model'])) return pubsubError('not-acceptable', 'unsupported-access-model'); // §8.1.3
  if (next['pubsub#max_payload_size'] > maxPayloadBytes) return { ...next, 'pubsub#max_payload_size': maxPayloadBytes };
  return next;
}

/** What a publisher asks of the node: §7.1.5. */
export type PublishOptions = Partial<NodeConfig>;

/** @returns an error also for an option that we do not know, and so could not hold to. */
export function readPublishOptions(form: DataForm): PublishOptions | StanzaError {
  for (const { var: name } of form.fields) {
    if (name !== FORM_TYPE && name !== '' && !Object.hasOwn(FIELDS, name))
      return pubsubError('conflict', 'precondition-not-met', { text: `The option ${name.slice(0, 100)} is not known here` });
  }
  const read = readSubmission(OPTIONS_FORM, form);
  if (read instanceof StanzaError) return read;
  return read.kind === 'cancel' ? {} : read.values;
}

/** A node that is made by publishing is as the options want it. §7.1.5 */
export function withOptions(config: NodeConfig, options: PublishOptions, limits: ConfigLimits): NodeConfig | StanzaError {
  return merged(config, options, limits);
}

/** §7.1.5: each option is a precondition for a node that exists. */
export function meetsOptions(config: NodeConfig, options: PublishOptions): boolean {
  return Object.entries(options).every(([name, value]) => {
    const key = name as keyof NodeConfig;
    const spec = FIELDS[key] as FieldSpec<unknown>;
    return spec.print(value).join('\n') === spec.print(config[key]).join('\n');
  });
}
