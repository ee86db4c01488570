/** The app under test, in every server of every figure but `balance`. */
module.exports = (_request, response) => response.end('hello world');
