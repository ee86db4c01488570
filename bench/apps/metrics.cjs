/** 700 series of prom-client histograms, all of which change all the time: 50 routes, each with 12 buckets, sum and count. */
const { Histogram } = require('prom-client');

const histogram = new Histogram({ name: 'bench_seconds', help: 'Nothing.', labelNames: ['route'] });
const routes = Array.from({ length: 50 }, (_, i) => `/route/${i}`);

setInterval(() => {
  // The last bucket but one: with it all above it change too, so spread over all.
  for (const [i, route] of routes.entries()) histogram.observe({ route }, (i % 12) / 10);
}, 200).unref();

module.exports = (_request, response) => response.end('hello');
