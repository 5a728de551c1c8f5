/** The scenarios, in the order in which they are listed. A new one is a file here and a line below. */
import type { Scenario } from '../scenario.ts';
import { chat } from './chat.ts';
import { idle } from './idle.ts';
import { login } from './login.ts';

export const SCENARIOS: readonly Scenario[] = [login, idle, chat];

/** Throws where there is none of that name. */
export function scenarioNamed(name: string): Scenario {
  const found = SCENARIOS.find((each) => each.name === name);
  if (found === undefined) throw new Error(`no scenario ${name}: there are ${SCENARIOS.map((each) => each.name).join(', ')}`);
  return found;
}
