/** Renders k8s/rendered/production.yaml with kubectl: `npm run k8s` writes it, a test checks that it is fresh. */
import { writeFileSync } from 'node:fs';
import { RENDERED, renderedProduction } from '../test/k8s/support/manifests.ts';
import { installTools } from '../test/k8s/support/tools.ts';

await installTools();
writeFileSync(RENDERED, await renderedProduction());
