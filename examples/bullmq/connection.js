const { hostname, port } = new URL(process.env.REDIS_URL ?? 'redis://localhost:6379');

export const QUEUE = 'mail';
export const connection = { host: hostname, port: Number(port) || 6379 };
