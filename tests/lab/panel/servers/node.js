// TLS servers of one Node.js, from 0.8 to today: node node.js CONFIG.json
'use strict';
var fs = require('fs'), tls = require('tls'), constants = require('constants');
var PATHS = ['key', 'cert', 'ca', 'dhparam', 'ocsp'];

// Node.js 0.10 throws when a client leaves in the middle of a handshake.
process.on('uncaughtException', function (error) { console.error(error.stack); });

function load(value) {
  return Array.isArray(value) ? value.map(load) : fs.readFileSync(value);
}

function options(given) {
  var made = {}, name;
  for (name in given) made[name] = PATHS.indexOf(name) >= 0 ? load(given[name]) : given[name];
  if (given.disable) made.secureOptions = given.disable.reduce(function (all, one) { return all | constants[one]; }, 0);
  // A server that knows its names: everybody else gets unrecognized_name.
  if (given.names) {
    made.SNICallback = function (asked, done) {
      done(given.names.indexOf(asked) >= 0 ? null : new Error('unknown name'), given.names.indexOf(asked) >= 0 ? tls.createSecureContext(made) : undefined);
    };
  }
  return made;
}

function answer(socket) {
  socket.on('error', function () {});
  socket.once('data', function () {
    socket.end('HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\npanel\n');
  });
}

JSON.parse(fs.readFileSync(process.argv[2])).forEach(function (given) {
  var made = options(given), server = tls.createServer(made, answer);
  if (made.ocsp) server.on('OCSPRequest', function (cert, issuer, done) { done(null, made.ocsp); });
  ['clientError', 'tlsClientError'].forEach(function (event) { server.on(event, function () {}); });
  server.listen(given.port, given.host || '127.0.0.1');
});
