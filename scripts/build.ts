/**
 * `npm run build`: src/ → dist/. Plain tsc, once for Node.js and once for the page in the browser, and cc for the native
 * part; the binary gets its execute bit.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, readdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';

const NATIVE = 'src/platform/native';

rmSync('dist', { recursive: true, force: true });
for (const project of ['tsconfig.json', 'src/admin/page/tsconfig.json']) {
  execFileSync('tsc', ['-p', project], { stdio: 'inherit' });
}
for (const file of ['page.html', 'page.css', 'icon.svg']) {
  copyFileSync(`src/admin/page/${file}`, `dist/admin/page/${file}`);
}
chmodSync('dist/main.js', 0o755);
const problem = buildNative('dist/platform/native/tsunicorn.node');
if (problem)
  process.stderr.write(
    `built without the native part (PID 1, systemd, stacks of stalled workers, TSUNICORN_STICKY): ${problem}\n`,
  );

/** Answers why it could not be built; tsunicorn runs without. */
function buildNative(output: string): string | undefined {
  if (process.platform !== 'linux') return 'it is for Linux only';
  const include = headers();
  if (!include) return 'the npm package node-api-headers is not installed';
  const compiler = process.env.CC ?? 'cc';
  // nodelete: a signal handler must not be unloaded.
  const flags = [
    '-O2',
    '-shared',
    '-fPIC',
    '-fvisibility=hidden',
    '-pthread',
    '-Wall',
    '-Wextra',
    '-Wl,-z,nodelete,-s',
  ];
  const sources = readdirSync(NATIVE).filter((file) => file.endsWith('.c'));
  const args = [...flags, '-I', include, ...sources.map((file) => `${NATIVE}/${file}`), '-o', output];
  const { error, status, stderr } = spawnSync(compiler, args, { encoding: 'utf8' });
  if (error)
    return `there is no C compiler (${compiler}: ${error.message}); Debian: gcc libc6-dev, Alpine: gcc musl-dev`;
  if (status !== 0) return `${compiler} failed: ${stderr.trim().split('\n')[0]}`;
  return undefined;
}

function headers(): string | undefined {
  try {
    return createRequire(import.meta.url)('node-api-headers').include_dir;
  } catch {
    return undefined;
  }
}
