/** Before and after all container tests: the engine, the stand-in base images and the project's own two images. */
import { baseImages, claimDirectory, engine, podmanCommand, ROOT, skipReason } from './machine.ts';
import { build, IMAGE, NGINX_IMAGE } from './podman.ts';

export async function globalSetup(): Promise<void> {
  const reason = skipReason();
  if (reason) {
    console.log(`container tests are skipped: ${reason}`);
    return;
  }
  try {
    claimDirectory();
    await engine('install');
    await engine('up-podman');
    await baseImages(podmanCommand(), ['slim-26', 'full-26', 'nginx']);
    await build({ context: ROOT, tag: IMAGE });
    await build({ context: `${ROOT}docker/nginx`, tag: NGINX_IMAGE });
  } catch (error) {
    await globalTeardown(); // the runner does not call it after a failed setup
    throw error;
  }
}

export async function globalTeardown(): Promise<void> {
  if (skipReason()) return;
  await engine('down-docker');
  await engine('down-podman');
}
