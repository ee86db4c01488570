import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { GraphQLError } from 'graphql';
import { createSchema, createYoga } from 'graphql-yoga';

const yoga = createYoga({
  schema: createSchema({
    typeDefs: /* GraphQL */ `
      type Query {
        pid: Int!
        slow(ms: Int! = 1000): Slow!
        error: String
      }
      type Slow {
        waited: Int!
        pid: Int!
      }
      type Event {
        n: Int!
        at: Float!
      }
      type Subscription {
        events: Event!
      }
    `,
    resolvers: {
      Query: {
        pid: () => process.pid,
        slow: async (_parent, { ms }) => {
          const waited = Math.min(Math.max(ms, 0), 60_000);
          await sleep(waited);
          return { waited, pid: process.pid };
        },
        error: () => {
          throw new GraphQLError('thrown in a resolver', { extensions: { http: { status: 500 } } });
        },
      },
      Subscription: {
        events: { subscribe: events, resolve: (event) => event },
      },
    },
  }),
});

// Subscriptions go out as server-sent events.
async function* events() {
  for (let n = 1; n <= 5; n++) {
    yield { n, at: Date.now() };
    await sleep(200);
  }
}

const server = createServer(yoga);
server.listen(Number(process.env.PORT ?? 4000), () => {
  console.info(`Server is running on http://localhost:${server.address().port}/graphql`);
});
