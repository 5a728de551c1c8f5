/** What operators see of links to other servers, and what they may ask of them. Plain data: it crosses threads. */
import { workerOperation } from './operations.ts';

/** One stream with another server, or what would become one. */
export interface LinkStatus {
  readonly direction: 'in' | 'out';
  readonly local: string;
  readonly remote: string;
  readonly state: string;
  readonly address: string;
  /** 'external', 'dialback' or ''. */
  readonly auth: string;
  /** 'TLSv1.3', or '' without. */
  readonly tls: string;
  /** XEP-0288, XEP-0198 */
  readonly isBidi: boolean;
  readonly isManaged: boolean;
  /** Waiting to be sent, and sent but not acknowledged. */
  readonly queued: number;
  readonly unacked: number;
  readonly stanzasIn: number;
  readonly stanzasOut: number;
  /** Milliseconds since the epoch. */
  readonly sinceMs: number;
  /** Why it is not as it should be; '' where it is. */
  readonly problem: string;
}

/** One thing that an attempt to speak with another server has shown. */
export interface CheckNote {
  readonly what: string;
  readonly isGood: boolean;
  readonly text: string;
}

/** The links of one worker. */
export interface Links {
  list(): readonly LinkStatus[];
  /** Ends the streams with a domain; those out begin anew when there is something to send. @returns how many. */
  close(remote: string): number;
  /** Looks how far a link would come. Resolves when it is clear, at the latest after the time for negotiation. */
  check(local: string, remote: string): Promise<readonly CheckNote[]>;
}

export const LIST_LINKS = workerOperation('s2s.list', ({ links }) => links?.list() ?? []);

export const CLOSE_LINKS = workerOperation('s2s.close', ({ links }, remote: string) => links?.close(remote) ?? 0);

const OFF: readonly CheckNote[] = [{ what: 'outcome', isGood: false, text: 'this server speaks with no others: s2s.enabled is false' }];

export const CHECK_LINK = workerOperation(
  's2s.check',
  ({ links }, { local, remote }: { readonly local: string; readonly remote: string }) =>
    links === undefined ? OFF : links.check(local, remote),
);
