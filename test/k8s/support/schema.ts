/**
 * Manifests against the schemas of Kubernetes, of the Gateway API and of the Prometheus operator: required fields,
 * types, enums and formats by validators that are made of them, and fields that they do not know.
 */
import type { Manifest } from './manifests.ts';
import { load } from './tools.ts';

interface Model {
  validate(): void;
}

/** Packages in the order of asking. */
const PACKAGES = ['kubernetes-models', '@kubernetes-models/gateway-api', '@kubernetes-models/prometheus-operator'];

type Constructor = new (data: object) => Model;

async function modelOf({ apiVersion, kind }: Manifest): Promise<Constructor | undefined> {
  for (const name of PACKAGES) {
    try {
      const models = await load<Record<string, Constructor | undefined>>(`${name}/${apiVersion}`);
      if (models[kind]) return models[kind];
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ERR_PACKAGE_PATH_NOT_EXPORTED') throw error;
    }
  }
  return undefined;
}

function errorOf(Model: Constructor, manifest: object): string | undefined {
  try {
    new Model(manifest).validate();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Values of which each typed field refuses at least one. */
const WRONG = [{ '\0': '\0' }, ['\0'], true, 1.5, '\0'];

/** What is wrong with them, a line each. */
export async function allSchemaErrors(manifests: readonly Manifest[]): Promise<string[]> {
  return (await Promise.all(manifests.map(schemaErrors))).flat();
}

export async function schemaErrors(manifest: Manifest): Promise<string[]> {
  const subject = `${manifest.kind}/${manifest.metadata?.name}`;
  const Model = await modelOf(manifest);
  if (!Model) return [`${subject}: ${manifest.apiVersion} has no ${manifest.kind}`];
  const error = errorOf(Model, manifest);
  if (error !== undefined) return [`${subject}: ${error}`];
  return unknownFields(Model, manifest).map((path) => `${subject}: ${path} is not in the schema`);
}

/**
 * The validators let unknown fields pass, as schemas do. A field that the schema knows has a type, so that some value is
 * refused there; one that takes every value is not in it. Where a parent is unknown its children are not looked at.
 */
function unknownFields(Model: Constructor, manifest: Manifest): string[] {
  const copy = structuredClone(manifest) as unknown as Record<string, unknown>;
  const unknown: string[] = [];
  const visit = (parent: Record<string, unknown>, path: string) => {
    for (const [key, value] of Object.entries(parent)) {
      const here = path === '' ? key : `${path}.${key}`;
      const refused = WRONG.some((wrong) => {
        parent[key] = wrong;
        return errorOf(Model, copy) !== undefined;
      });
      parent[key] = value;
      if (!refused) unknown.push(here);
      else if (typeof value === 'object' && value !== null) visit(value as Record<string, unknown>, here);
    }
  };
  visit(copy, '');
  return unknown;
}
