/**
 * Programs that fork workers of their own with node:cluster. It calls node:child_process' fork() as it was when
 * node:cluster was loaded, and a process with an IPC channel has loaded child_process anyway: replacing it is free.
 */
import type { ChildProcess, ForkOptions } from 'node:child_process';
import { AppLoadError } from '../../errors.ts';
import { isObject } from '../app/duck-typing.ts';

/** By this variable node:cluster tells a process that it is a worker. */
const CLUSTER_VARIABLE = 'NODE_UNIQUE_ID';

const REFUSAL =
  'the app called cluster.fork(), but tsunicorn starts the workers (TSUNICORN_WORKERS is their number). Point TSUNICORN_APP at the code that such a worker runs, or call that code instead of cluster.fork()';

type Fork = (...args: [string, ...unknown[]]) => ChildProcess;

/** From now on `cluster.fork()` throws, after a call of `refused`. */
export function refuseClusterWorkers(process: NodeJS.Process, refused: (error: AppLoadError) => void): void {
  const refuse = (): never => {
    const error = new AppLoadError(REFUSAL);
    refused(error);
    throw error;
  };
  const childProcess = process.getBuiltinModule('node:child_process') as unknown as { fork: Fork };
  const { fork } = childProcess;
  childProcess.fork = (...args) => {
    const options = args.find((arg) => isObject(arg) && 'env' in arg) as ForkOptions | undefined;
    return options?.env?.[CLUSTER_VARIABLE] === undefined ? fork(...args) : refuse();
  };
  // A preloaded module (--import) may have loaded node:cluster before.
  const { moduleLoadList = [] } = process as { moduleLoadList?: readonly string[] };
  if (moduleLoadList.includes('NativeModule cluster')) {
    (process.getBuiltinModule('node:cluster') as unknown as { fork: () => never }).fork = refuse;
  }
}
