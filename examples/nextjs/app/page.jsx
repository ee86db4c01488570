import { connection } from 'next/server';

export default async function Page() {
  await connection(); // rendered for each request, in the worker that answers
  return <p>{`hello from process ${process.pid}`}</p>;
}
