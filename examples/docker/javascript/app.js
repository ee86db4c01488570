/** The least that an image of an app holds: a module whose default export takes a request and a response. */
export default function app(request, response) {
  response.setHeader('Content-Type', 'text/plain; charset=utf-8');
  response.end(`${request.method} ${request.url} from process ${process.pid}\n`);
}
