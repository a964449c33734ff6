// A backend for package backends. It resolves paths as many Node.js applications do: everything is
// decoded, then normalised. With the argument "loose" it drops path parameters and ignores letter case.
const http = require('node:http');
const path = require('node:path');

const loose = process.argv[2] === 'loose';

function resolve(target) {
  let name = target.split('?')[0].split('#')[0];
  if (loose) name = name.split('/').map((segment) => segment.split(';')[0]).join('/');
  try {
    name = decodeURIComponent(name);
  } catch {
    return null;
  }
  name = path.posix.normalize(name);
  if (loose) name = name.toLowerCase();
  return name.length > 1 ? name.replace(/\/$/, '') : name;
}

function resource(name) {
  if (name === '/api/admin' || name === '/api/caf\u00e9' || name === '/api/keys' || name.startsWith('/api/keys/')) return 'PROTECTED-ADMIN';
  if (name === '/api' || name.startsWith('/api/')) return 'PROTECTED-API';
  if (name === '/public' || name.startsWith('/public/')) return 'PUBLIC';
  return 'NOTHING';
}

const server = http.createServer((request, response) => {
  const name = resolve(request.url);
  response.setHeader('X-Resolved', name === null ? 'unreadable' : encodeURIComponent(name));
  response.statusCode = name === null ? 400 : 200;
  response.end(name === null ? 'NOTHING' : resource(name));
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
