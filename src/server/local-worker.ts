/** A worker in the calling thread: for programs that embed the server, and their tests. */
import type { WorkerStatus } from '../control/command-types.ts';
import type { ListeningPorts } from './worker-control.ts';
import { workerStatus, type AsyncControl, type WorkerHandle } from './worker-handle.ts';
import { WorkerService, type WorkerServiceOptions } from './worker-service.ts';

export class LocalWorker implements WorkerHandle {
  readonly index = 0;
  readonly control: AsyncControl;
  state: WorkerStatus['state'] = 'starting';
  ports: ListeningPorts = { c2s: [], c2sTls: [] };
  readonly service: WorkerService;

  constructor(options: WorkerServiceOptions) {
    this.service = new WorkerService(options);
    this.control = this.service as unknown as AsyncControl; // awaiting a plain value is harmless
  }

  async start(): Promise<void> {
    await this.service.start();
    this.ports = await this.service.listen(undefined);
    this.state = 'running';
  }

  async status(): Promise<WorkerStatus> {
    return workerStatus(this.index, this.state, 0, this.state === 'running' ? this.service.figures() : undefined);
  }

  kill(): Promise<void> {
    return Promise.reject(new Error('a worker in this thread cannot be ended alone'));
  }

  async stop(): Promise<void> {
    this.state = 'stopping';
    await this.service.drain();
  }
}
