/** What a reload may change in a server that runs. */
import type { Config, HostConfig } from '../config/config.ts';
import { compareConfigs } from '../config/describe.ts';
import { getAt } from '../config/load.ts';

/** `running` with those values of `wanted` that need no restart. Hosts neither come nor go, and their modules stay as they are. */
export function reloadedConfig(running: Config, wanted: Config): Config {
  const next = structuredClone(running);
  for (const { path, reload } of compareConfigs(running, wanted)) {
    if (reload !== 'restart' && !path.startsWith('hosts.')) setAt(next, path, getAt(wanted, path));
  }
  const hosts = running.hosts.map((host): HostConfig => {
    const changed = wanted.hosts.find(({ domain }) => domain === host.domain);
    return changed === undefined ? host : { ...changed, modules: host.modules };
  });
  return { ...next, hosts };
}

function setAt(config: Config, path: string, value: unknown): void {
  const steps = path.split('.');
  const name = steps.pop()!;
  let place = config as unknown as Record<string, unknown>;
  for (const step of steps) place = place[step] as Record<string, unknown>;
  place[name] = value;
}
