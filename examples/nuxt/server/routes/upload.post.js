export default defineEventHandler(async (event) => {
  const body = await readRawBody(event, false);
  return { bytes: body?.length ?? 0 };
});
