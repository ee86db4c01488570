/** Says which worker answered. */
module.exports = (_request, response) => {
  response.setHeader('X-Worker', process.pid);
  response.end('hello world');
};
