/**
 * Programs that start workers of their own with node:cluster. Its fork() calls that of node:child_process, as it is when
 * node:cluster is loaded; to replace that costs nothing, since a process with an IPC channel has it loaded.
 */
import type { ChildProcess, ForkOptions } from 'node:child_process';
import { AppLoadError } from '../../errors.ts';

/** node:cluster tells its workers by this variable that they are. */
const CLUSTER_VARIABLE = 'NODE_UNIQUE_ID';

const REFUSAL =
  'the app starts workers of its own (cluster.fork()), and tsunicorn has started them already. Point TSUNICORN_APP at the code that a worker of it runs, or call that code in place of cluster.fork(); TSUNICORN_WORKERS is their number';

type Fork = (...args: [string, ...unknown[]]) => ChildProcess;

/** From now on `cluster.fork()` throws, after `refused` has heard of it. */
export function refuseClusterWorkers(process: NodeJS.Process, refused: (error: AppLoadError) => void): void {
  const refuse = (): never => {
    const error = new AppLoadError(REFUSAL);
    refused(error);
    throw error;
  };
  const childProcess = process.getBuiltinModule('node:child_process') as unknown as { fork: Fork };
  const { fork } = childProcess;
  childProcess.fork = (...args) => {
    const options = args.find((arg) => typeof arg === 'object' && arg !== null && 'env' in arg) as ForkOptions;
    return options?.env?.[CLUSTER_VARIABLE] === undefined ? fork(...args) : refuse();
  };
  // A module that was preloaded (--import) may have loaded it before.
  const { moduleLoadList = [] } = process as { moduleLoadList?: readonly string[] };
  if (moduleLoadList.includes('NativeModule cluster')) {
    (process.getBuiltinModule('node:cluster') as unknown as { fork: () => never }).fork = refuse;
  }
}
