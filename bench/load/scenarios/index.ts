/** The scenarios, in the order in which they are listed. A new one is a file here and a line below. */
import type { Scenario } from '../scenario.ts';
import { archive } from './archive.ts';
import { chat } from './chat.ts';
import { chatRate } from './chat-rate.ts';
import { component } from './component.ts';
import { contacts } from './contacts.ts';
import { idle } from './idle.ts';
import { login } from './login.ts';
import { offline } from './offline.ts';
import { presenceBroadcast } from './presence-broadcast.ts';
import { presenceStorm } from './presence-storm.ts';
import { reconnect } from './reconnect.ts';
import { register } from './register.ts';
import { roster } from './roster.ts';

export const SCENARIOS: readonly Scenario[] = [
  register,
  login,
  contacts,
  idle,
  chat,
  chatRate,
  component,
  roster,
  presenceBroadcast,
  presenceStorm,
  offline,
  archive,
  reconnect,
];

/** Throws where there is none of that name. */
export function scenarioNamed(name: string): Scenario {
  const found = SCENARIOS.find((each) => each.name === name);
  if (found === undefined) throw new Error(`no scenario ${name}: there are ${SCENARIOS.map((each) => each.name).join(', ')}`);
  return found;
}
