/** What can be asked of any server that is started for a drill or a table. */
export interface ServerOptions {
  readonly hasArchive: boolean;
  /** Where the component of the scenario `component` connects. */
  readonly componentPort?: number | undefined;
  /** ejabberd: where its archive is. */
  readonly archiveStore?: 'mnesia' | 'sqlite' | undefined;
  /** TLS is offered with it, never required. Rookery makes its own. */
  readonly certificate?: Certificate | undefined;
  /** Rookery: the single executable in place of the sources. */
  readonly binary?: string | undefined;
  /** Rookery: anybody may register, as with the others. */
  readonly isOpen?: boolean | undefined;
  /** Rookery: `ROOKERY_DRILL`, see src/server/drill.ts. */
  readonly mode?: string | undefined;
  /** Rookery: further settings, over those of `rookerySettings`. */
  readonly settings?: Readonly<Record<string, string>> | undefined;
}

export interface Certificate {
  readonly certificateFile: string;
  readonly keyFile: string;
  /** Both in one file. */
  readonly pemFile: string;
}
