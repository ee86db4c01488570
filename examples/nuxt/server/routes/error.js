export default defineEventHandler(() => {
  throw new Error('thrown in a handler');
});
