export const dynamic = 'force-dynamic';

// Next.js answers 500 and writes the error to stderr.
export function GET() {
  throw new Error('thrown in a handler');
}
