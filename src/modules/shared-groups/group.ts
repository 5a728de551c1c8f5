/** Groups that the operator makes, and who is in whose roster because of them. Pure. */
import type { SharedContact } from '../../core/module.ts';
import { jsonTable } from '../../store/codec.ts';
import { parseJid, type BareJid } from '../../xmpp/jid.ts';

export interface Group {
  /** As clients show it. */
  readonly title: string;
  /** Bare JIDs of accounts of the host; `everyone` is all of them. */
  readonly members: 'everyone' | readonly string[];
  /** Whose rosters have the members: those of the members themselves, of everyone, or of the members of these groups. */
  readonly visibleTo: 'members' | 'everyone' | readonly string[];
}

/** In the host's partition, by the group's name. */
export const GROUPS = jsonTable<Group>({ name: 'shared_group', version: 1 });

interface Compiled {
  readonly title: string;
  /** Undefined: everyone. */
  readonly members: ReadonlySet<string> | undefined;
  readonly visibleTo: Group['visibleTo'];
}

/** The groups of one host, with all of its accounts where a group is of all. */
export class Directory {
  private readonly groups = new Map<string, Compiled>();
  private readonly everyone: Set<BareJid>;
  /** Whether a group is about all accounts, so that `everyone` counts. */
  readonly needsEveryone: boolean;

  constructor(groups: ReadonlyMap<string, Group>, everyone: Iterable<BareJid>) {
    this.everyone = new Set(everyone);
    let needsEveryone = false;
    for (const [name, { title, members, visibleTo }] of groups) {
      needsEveryone ||= members === 'everyone' || visibleTo === 'everyone';
      this.groups.set(name, { title, members: members === 'everyone' ? undefined : new Set(members), visibleTo });
    }
    this.needsEveryone = needsEveryone;
  }

  get isEmpty(): boolean {
    return this.groups.size === 0;
  }

  /** An account has come, or gone. */
  add(account: BareJid): void {
    if (this.needsEveryone) this.everyone.add(account);
  }

  delete(account: BareJid): void {
    this.everyone.delete(account);
  }

  /** What `other` is to `user`; undefined: nothing. Mutual where each sees the other, as groups of colleagues are. */
  contact(user: string, other: string): SharedContact | undefined {
    if (user === other) return undefined;
    const groups: string[] = [];
    let isSeen = false;
    for (const group of this.groups.values()) {
      if (this.isMember(group, other) && this.isViewer(group, user)) groups.push(group.title);
      isSeen ||= this.isMember(group, user) && this.isViewer(group, other);
    }
    if (groups.length === 0 && !isSeen) return undefined;
    const jid = parseJid(other);
    if (jid === undefined) return undefined;
    const isListed = groups.length > 0;
    const subscription = isListed ? (isSeen ? 'both' : 'to') : 'from';
    return { jid, name: jid.local, groups: [...new Set(groups)], subscription, isListed };
  }

  /** All that are something to `user`. Cost: accounts times groups. */
  contactsOf(user: string): SharedContact[] {
    const others = new Set<string>();
    for (const group of this.groups.values()) {
      if (this.isViewer(group, user)) for (const member of group.members ?? this.everyone) others.add(member);
      if (this.isMember(group, user)) for (const viewer of this.viewersOf(group)) others.add(viewer);
    }
    return [...others].flatMap((other) => this.contact(user, other) ?? []);
  }

  private isMember({ members }: Compiled, account: string): boolean {
    return members === undefined ? this.everyone.has(account as BareJid) : members.has(account);
  }

  private isViewer(group: Compiled, account: string): boolean {
    switch (group.visibleTo) {
      case 'members':
        return this.isMember(group, account);
      case 'everyone':
        return this.everyone.has(account as BareJid);
      default:
        return group.visibleTo.some((name) => this.isMember(this.groups.get(name) ?? NOBODY, account));
    }
  }

  private viewersOf(group: Compiled): Iterable<string> {
    switch (group.visibleTo) {
      case 'members':
        return group.members ?? this.everyone;
      case 'everyone':
        return this.everyone;
      default:
        return group.visibleTo.flatMap((name) => [...((this.groups.get(name) ?? NOBODY).members ?? this.everyone)]);
    }
  }
}

/** A group that is not there, or not any more. */
const NOBODY: Compiled = { title: '', members: new Set(), visibleTo: 'members' };
