/** All modules, in the order in which their hooks run inside a phase. */
import type { ModuleSpec } from '../core/module.ts';
import administration from './administration/index.ts';
import adhoc from './adhoc/index.ts';
import announcements from './announcements/index.ts';
import archive from './archive/index.ts';
import avatars from './avatars.ts';
import blocking from './blocking.ts';
import bookmarks from './bookmarks/index.ts';
import caps from './caps.ts';
import carbons from './carbons.ts';
import clientState from './client-state.ts';
import clients from './clients.ts';
import dataPolicy from './data-policy.ts';
import delegation from './delegation.ts';
import disco from './disco.ts';
import externalServices from './external-services.ts';
import invites from './invites/index.ts';
import lastActivity from './last-activity.ts';
import displayed from './displayed.ts';
import legacySession from './legacy-session.ts';
import logins from './logins.ts';
import multicast from './multicast/index.ts';
import offline from './offline/index.ts';
import pep from './pep/index.ts';
import ping from './ping.ts';
import presence from './presence/index.ts';
import privacy from './privacy/index.ts';
import privacyLists from './privacy-lists.ts';
import privilege from './privilege.ts';
import privateStorage from './private-storage.ts';
import push from './push/index.ts';
import pubsub from './pubsub/index.ts';
import registration from './registration/index.ts';
import reporting from './reporting/index.ts';
import retraction from './retraction.ts';
import roster from './roster/index.ts';
import sharedGroups from './shared-groups/index.ts';
import strangers from './strangers.ts';
import search from './search/index.ts';
import serviceOutage from './service-outage.ts';
import time from './time.ts';
import vcard from './vcard/index.ts';
import version from './version.ts';

export const MODULES = [
  privacy, // first: XEP-0016 §2.2
  strangers,
  delegation, // what a component serves nobody else is to answer
  carbons, // what it strips nobody else is to see
  archive,
  roster,
  sharedGroups,
  multicast, // before what takes presence to the server for presence to one
  invites, // before presence, which would show every request to the user
  presence,
  privilege,
  retraction,
  offline,
  clientState,
  lastActivity,
  push,
  blocking,
  privacyLists,
  reporting,
  logins,
  announcements,
  administration,
  registration,
  disco,
  serviceOutage,
  dataPolicy,
  adhoc,
  caps,
  pubsub,
  pep,
  bookmarks,
  vcard,
  displayed,
  avatars,
  search,
  privateStorage,
  clients,
  externalServices,
  ping,
  version,
  time,
  legacySession,
] as readonly ModuleSpec[];
