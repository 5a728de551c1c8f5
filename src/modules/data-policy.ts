/** What the operator says of how data are handled here. XEP-0504 */
import { z } from 'zod';
import type { Host } from '../core/host.ts';
import { defineModule } from '../core/module.ts';
import { formTypeField, type DataForm, type FormField } from '../xmpp/data-form.ts';

const NS = 'urn:xmpp:data-policy:0';

const isHoursOr =
  (...words: readonly string[]) =>
  (value: string) =>
    /^\d{1,9}$/.test(value) || words.includes(value);
const retention = z.string().refine(isHoursOr('infinite', 'unknown'), "expected a number of hours, 'infinite' or 'unknown'");

const OPTIONS = z.strictObject({
  /** How data for logging in are used: `no_auth`, `plain`, `hidden` or `restricted`. */
  auth_data: z.enum(['no_auth', 'plain', 'hidden', 'restricted']).optional(),
  /** For how many hours data are kept at most: a number, `infinite` or `unknown`. */
  data_retention: retention.optional(),
  /** Whether users can delete their data. */
  data_deletion: z.boolean().optional(),
  /** Whether data are encrypted on disk. */
  encryption_at_rest: z.boolean().optional(),
  /** Address of the terms of service. */
  tos: z.string().refine(URL.canParse, 'expected a URI').optional(),
  /** Whether users can take all their data with them. */
  data_export: z.boolean().optional(),
  /** Who has access: of `admins`, `moderators`, `organization_member`, `government`, `advertisers`, `partners`, or `none` alone. */
  access_policy: z
    .array(z.enum(['admins', 'moderators', 'organization_member', 'government', 'advertisers', 'partners', 'none']))
    .refine((who) => !who.includes('none') || who.length === 1, "'none' stands alone")
    .optional(),
  /** Whether users can have their account and all data erased. */
  full_erasure: z.boolean().optional(),
  /** Hours between two backups at most; 0 for none. */
  backup_frequency: z.string().refine(isHoursOr(), 'expected a number of hours').optional(),
  /** For how many hours backups are kept at most: a number, `infinite` or `unknown`. */
  backup_retention: retention.optional(),
  /** Anything else, in words. */
  extra_info: z.string().max(5_000).optional(),
});

const TYPES: Partial<Record<string, FormField['type']>> = {
  auth_data: 'list-single',
  access_policy: 'list-multi',
  extra_info: 'text-multi',
};

const dataPolicy = defineModule({
  name: 'data_policy',
  implements: [{ spec: 'XEP-0504', version: '0.1.0', status: 'complete', note: 'of the server; where data are is for XEP-0080' }],
  needs: ['disco'],
  config: OPTIONS,
  serverForms: policyForm,
});
export default dataPolicy;

/** §3: nothing where the operator says nothing. */
function policyForm(host: Host): DataForm[] {
  const fields = Object.entries(host.moduleConfig(dataPolicy)).flatMap(([name, value]): FormField[] => {
    if (value === undefined) return [];
    if (typeof value === 'boolean') return [{ var: name, type: 'boolean', values: [value ? '1' : '0'] }];
    const values = Array.isArray(value) ? value : name === 'extra_info' ? value.split('\n') : [value];
    return [{ var: name, type: TYPES[name] ?? 'text-single', values }];
  });
  return fields.length === 0 ? [] : [{ kind: 'result', fields: [formTypeField(NS), ...fields] }];
}
