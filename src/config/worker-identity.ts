/** Who a worker is among the workers. Its environment says it, so its threads and the programs it starts know it too. */

export interface WorkerIdentity {
  /** Its place, from 0 up, which its successor takes over. */
  readonly slot: number;
  /** Its number among all workers that this server ever started, from 1 up. */
  readonly id: number;
  /** Of the code that it runs: 1 at the start of the server, and one more with each reload. */
  readonly generation: number;
}

/** A nested tsunicorn inherits these: they are no settings, and no unknown ones either. */
export const IDENTITY_VARIABLES: Readonly<Record<keyof WorkerIdentity, string>> = {
  slot: 'TSUNICORN_WORKER_SLOT',
  id: 'TSUNICORN_WORKER_ID',
  generation: 'TSUNICORN_WORKER_GENERATION',
};

/** Under plain `node` there is one worker. */
export function identityIn(env: NodeJS.ProcessEnv): WorkerIdentity {
  const read = (key: keyof WorkerIdentity, fallback: number): number => {
    const text = env[IDENTITY_VARIABLES[key]] ?? '';
    return /^\d+$/.test(text) ? Number(text) : fallback;
  };
  return { slot: read('slot', 0), id: read('id', 1), generation: read('generation', 1) };
}

const hex = (digits: number): string =>
  Array.from({ length: digits }, () => Math.floor(Math.random() * 16).toString(16)).join('');
/** A UUID of version 8 (RFC 9562, section 5.8) less its last part, which is the worker's id. `node:crypto` takes 3 MB. */
const SERVER_UUID = `${hex(8)}-${hex(4)}-8${hex(3)}-8${hex(3)}`;
const uuidEnd = (id: number): string => `-${id.toString(16).padStart(12, '0')}`;

const INSTANCE_ID = 'service.instance.id=';

/** What a worker has in its environment; `env` is the server's. `instanceVar` is `TSUNICORN_INSTANCE_VAR`. */
export function identityVariables(
  identity: WorkerIdentity,
  env: NodeJS.ProcessEnv,
  instanceVar: string | undefined,
): NodeJS.ProcessEnv {
  const { slot, id, generation } = identity;
  // What another tsunicorn gave its worker, from which this server was started, is not this worker's.
  const inherited = env[IDENTITY_VARIABLES.id] !== undefined ? uuidEnd(identityIn(env).id) : undefined;
  const attributes = (env.OTEL_RESOURCE_ATTRIBUTES ?? '').split(',').map((attribute) => attribute.trim());
  const kept = attributes.filter(
    (attribute) =>
      attribute !== '' && !(inherited && attribute.startsWith(INSTANCE_ID) && attribute.endsWith(inherited)),
  );
  if (!kept.some((attribute) => /^service\.instance\.id\s*=/.test(attribute))) {
    kept.push(`${INSTANCE_ID}${SERVER_UUID}${uuidEnd(id)}`);
  }
  return {
    [IDENTITY_VARIABLES.slot]: String(slot),
    [IDENTITY_VARIABLES.id]: String(id),
    [IDENTITY_VARIABLES.generation]: String(generation),
    OTEL_RESOURCE_ATTRIBUTES: kept.join(','),
    ...(instanceVar !== undefined && { [instanceVar]: String(slot) }),
  };
}
