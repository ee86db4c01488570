/** Two workers under node:cluster with its default scheduling. */
const cluster = require('node:cluster');

if (cluster.isPrimary) for (let i = 0; i < 2; i++) cluster.fork();
else require('./bare.cjs');
