/** Before all tests of k8s/: kubectl and the schemas. */
import { installTools, skipReason } from './tools.ts';

export async function globalSetup(): Promise<void> {
  const reason = skipReason();
  if (reason) console.log(`tests of k8s/ are skipped: ${reason}`);
  else await installTools();
}
