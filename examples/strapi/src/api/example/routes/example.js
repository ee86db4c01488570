const route = (method, path, handler) => ({ method, path, handler: `example.${handler}`, config: { auth: false } });

module.exports = {
  routes: [
    route('GET', '/hello', 'hello'),
    route('GET', '/slow', 'slow'),
    route('GET', '/events', 'events'),
    route('POST', '/upload', 'upload'),
    route('GET', '/error', 'error'),
  ],
};
