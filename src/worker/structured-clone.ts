/** Values as bytes, by the structured clone algorithm; a Buffer stays a Buffer. */
import type { DefaultSerializer as Serializer } from 'node:v8';

/** node:v8 calls it with and without `new`. */
function dataCloneError(message: string): DOMException {
  return new DOMException(message, 'DataCloneError');
}

type SerializerHooks = Partial<Record<'_getDataCloneError' | '_getSharedArrayBufferId', (message: string) => unknown>>;

/** Throws a DataCloneError, as `postMessage()` does. */
export function encode(value: unknown): Uint8Array {
  const { DefaultSerializer } = process.getBuiltinModule('node:v8');
  const serializer: Serializer & SerializerHooks = new DefaultSerializer();
  serializer._getDataCloneError = dataCloneError;
  serializer._getSharedArrayBufferId = () => {
    throw dataCloneError('#<SharedArrayBuffer> could not be cloned.'); // other processes cannot share it
  };
  serializer.writeHeader();
  serializer.writeValue(value);
  return serializer.releaseBuffer();
}

export function decode(bytes: Uint8Array): unknown {
  return process.getBuiltinModule('node:v8').deserialize(bytes);
}
