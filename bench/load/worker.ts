/** A thread of the load generator. */
import { parentPort, workerData } from 'node:worker_threads';
import { Bench, type Assignment, type Report } from './bench.ts';
import { scenarioNamed } from './scenarios/index.ts';

const assignment = workerData as Assignment;
await scenarioNamed(assignment.scenario).run(new Bench(assignment, parentPort!));
parentPort!.postMessage({ kind: 'done' } satisfies Report);
parentPort!.close();
