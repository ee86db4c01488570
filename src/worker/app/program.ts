/** What the loading of an app asks of the worker around it, for programs that do more than to export an app. */
import type { Server } from 'node:http';
import type { AppLoadError } from '../../errors.ts';
import type { Properties } from './form.ts';

export interface Program {
  /** The module is there; what follows waits for this. */
  imported(module: Properties): Promise<void>;
  /**
   * The server on which the program called `listen()` itself, where that is to be served in place of what the module
   * exports. `isNamed`: the user asked for the export by name.
   */
  ownServer(exported: unknown, isNamed: boolean): { readonly server: Server; readonly asked: string } | undefined;
  /** Resolves while the import is still under way when the program listens already, and need not be waited for. */
  listensMeanwhile(): Promise<void>;
  /** Waits until the program listens. Throws where it does not, in the end `problem`, for which it is waited. */
  listensInstead(problem: AppLoadError): Promise<void>;
}
