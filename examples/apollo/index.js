import { setTimeout as sleep } from 'node:timers/promises';
import { ApolloServer } from '@apollo/server';
import { startStandaloneServer } from '@apollo/server/standalone';
import { GraphQLError } from 'graphql';

const typeDefs = `#graphql
  type Query {
    pid: Int!
    slow(ms: Int! = 1000): Slow!
    error: String
  }
  type Slow {
    waited: Int!
    pid: Int!
  }
`;

const resolvers = {
  Query: {
    pid: () => process.pid,
    slow: async (_parent, { ms }) => {
      const waited = Math.min(Math.max(ms, 0), 60_000);
      await sleep(waited);
      return { waited, pid: process.pid };
    },
    // GraphQL answers 200 with `errors` unless an error asks for another status.
    error: () => {
      throw new GraphQLError('thrown in a resolver', { extensions: { http: { status: 500 } } });
    },
  },
};

const server = new ApolloServer({ typeDefs, resolvers });

const { url } = await startStandaloneServer(server, { listen: { port: Number(process.env.PORT ?? 4000) } });
console.log(`🚀 Server ready at ${url}`);
