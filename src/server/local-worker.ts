/** A worker in the calling thread: for programs that embed the server, and their tests. */
import type { WorkerStatus } from '../core/server-status.ts';
import { NO_PORTS, type ListeningPorts } from './worker-control.ts';
import { workerStatus, type AsyncControl, type WorkerHandle } from './worker-handle.ts';
import { WorkerService, type WorkerServiceOptions } from './worker-service.ts';

export class LocalWorker implements WorkerHandle {
  readonly index = 0;
  readonly control: AsyncControl;
  state: WorkerStatus['state'] = 'starting';
  ports: ListeningPorts = NO_PORTS;
  readonly service: WorkerService;
  private stopped: Promise<void> | undefined = undefined;

  constructor(options: WorkerServiceOptions) {
    this.service = new WorkerService(options);
    this.control = this.service as unknown as AsyncControl; // awaiting a plain value is harmless
  }

  /** Where it cannot start or listen, nothing is left behind. */
  async start(): Promise<void> {
    try {
      await this.service.start();
      this.ports = await this.service.listen(undefined);
      this.state = 'running';
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  async status(): Promise<WorkerStatus> {
    return workerStatus(this.index, this.state, 0, this.state === 'running' ? this.service.figures() : undefined);
  }

  kill(): Promise<void> {
    return Promise.reject(new Error('a worker in this thread cannot be ended alone'));
  }

  stop(): Promise<void> {
    this.state = 'stopping';
    this.stopped ??= this.service.drain();
    return this.stopped;
  }
}
