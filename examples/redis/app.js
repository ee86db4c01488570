import { RedisStore as SessionStore } from 'connect-redis';
import express from 'express';
import { rateLimit } from 'express-rate-limit';
import session from 'express-session';
import { RedisStore as LimitStore } from 'rate-limit-redis';
import { RateLimiterRedis } from 'rate-limiter-flexible';
import { createClient } from 'redis';

const redis = createClient({ url: process.env.REDIS_URL ?? 'redis://localhost:6379' });
redis.on('error', (error) => console.error(error.message)); // it connects again by itself
await redis.connect();

const app = express();
app.set('trust proxy', 'loopback'); // else the limits are the proxy's and not its clients'

app.use((_request, response, next) => {
  response.set('X-Worker', String(process.pid));
  next();
});

app.use(
  session({
    store: new SessionStore({ client: redis }),
    secret: process.env.SESSION_SECRET ?? 'the same for all workers, and from a secret',
    resave: false,
    saveUninitialized: false,
  }),
);

app.get('/visits', (request, response) => {
  request.session.visits = (request.session.visits ?? 0) + 1;
  response.json({ visits: request.session.visits, pid: process.pid });
});

/** 20 requests a minute for each client, over all workers and all pods. */
const perMinute = rateLimit({
  windowMs: 60_000,
  limit: 20,
  standardHeaders: 'draft-8',
  legacyHeaders: false,
  store: new LimitStore({ sendCommand: (...args) => redis.sendCommand(args) }),
});

app.get('/limited', perMinute, (_request, response) => {
  response.json({ ok: true, pid: process.pid });
});

/** 5 failed logins a minute for each user. */
const logins = new RateLimiterRedis({
  storeClient: redis,
  useRedisPackage: true, // and not ioredis
  keyPrefix: 'login',
  points: 5,
  duration: 60,
});

app.get('/login', async (request, response) => {
  try {
    await logins.consume(String(request.query.user));
    response.status(401).json({ error: 'wrong password', pid: process.pid });
  } catch (refused) {
    if (refused instanceof Error) throw refused; // Redis, and not the limit
    response.set('Retry-After', String(Math.ceil(refused.msBeforeNext / 1000)));
    response.status(429).json({ error: 'too many attempts', pid: process.pid });
  }
});

export default app;

// tsunicorn calls this when no request is left.
process.once('SIGTERM', () => redis.close());
