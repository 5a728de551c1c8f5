/**
 * One connection's bytes, whatever carries them: a TCP or TLS socket, an in-memory pair, later a WebSocket.
 * Not an actor: it outlives restarts of the connection actor that owns it (design: "restarted on the same socket").
 */
import type { X509Certificate } from 'node:crypto';

/** What is known of the TLS layer after its handshake. */
export interface TlsFacts {
  /** 'TLSv1.2' | 'TLSv1.3' */
  readonly version: string;
  readonly cipher: string;
  /** ALPN protocol agreed, e.g. 'xmpp-client'. */
  readonly alpn: string | undefined;
  /** Name the peer asked for. */
  readonly serverName: string | undefined;
  /** RFC 9266 channel binding: 32 bytes; undefined under TLS 1.2 without extended master secret. */
  tlsExporter(): Buffer | undefined;
  /** RFC 5929 §4: hash of the certificate this side presented. */
  tlsServerEndPoint(): Buffer | undefined;
  /** The peer's certificate and whether it chains to a trusted root now. */
  readonly peerCertificate: X509Certificate | undefined;
  readonly isPeerTrusted: boolean;
  /** Why it does not, as OpenSSL names it: 'DEPTH_ZERO_SELF_SIGNED_CERT'. The last of its complaints, which may hide others. */
  readonly peerProblem: string | undefined;
  /** What came with the peer's certificate and links it to others, without itself; nothing once the connection is over. */
  peerChain(): readonly X509Certificate[];
}

/** Told of what happens to the transport; set once by the owner. Called outside of actor turns. */
export interface TransportHandlers {
  /** The owner may keep `chunk`. */
  bytes(chunk: Buffer): void;
  /** TLS handshake of `startTls` done. */
  secure(): void;
  /** All earlier writes have left this process; called after `pendingBytes` had exceeded the high-water mark. */
  drained(): void;
  /** The connection is over; called once, last. `error` where it did not end in order. */
  closed(error: Error | undefined): void;
}

export interface Transport {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localPort: number;
  /** Undefined before TLS. */
  readonly tls: TlsFacts | undefined;
  /** Bytes written but not yet taken by the operating system. */
  readonly pendingBytes: number;
  /** True between pause() and resume(). */
  readonly isPaused: boolean;
  setHandlers(handlers: TransportHandlers): void;
  /** Gathers `text`; it leaves with the flush at the end of the scheduler's slice. After end/destroy: ignored. */
  write(text: string): void;
  /** Sends what is gathered now. Called by the flush queue; others need it only before startTls. */
  flush(): void;
  /** Stops and resumes reading: the only back-pressure there is. */
  pause(): void;
  resume(): void;
  /** Our side of STARTTLS, the server's or the client's. Bytes already received and unread by the peer's TLS layer are its problem: the caller has checked there are none. */
  startTls(): void;
  /** Flushes, says FIN (close_notify under TLS), and destroys the socket if the peer has not closed within the grace time. */
  end(): void;
  destroy(): void;
}
