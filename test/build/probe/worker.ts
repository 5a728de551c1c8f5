import { open } from 'lmdb';
import { parentPort, workerData } from 'node:worker_threads';

const store = open({ path: workerData.directory, encoding: 'binary', noSubdir: false });
void store.put('key', Buffer.from('value')).then(async () => {
  const found = store.get('key')?.toString();
  await store.close();
  parentPort?.postMessage(found);
});
