export function GET() {
  throw new Error('thrown in a handler');
}
