// An HTTP server on node's `http`: `node server.js PORT`. Routes: see lab/runtimes.rs; and `/block`, which
// keeps its only thread busy for 200 ms.
"use strict";
const http = require("node:http");

const server = http.createServer((request, response) => {
  const { method, url } = request;
  if (method === "GET" && url === "/") {
    response.writeHead(200, { "Content-Type": "text/plain", "Content-Length": 6 });
    return response.end("hello\n");
  }
  if (method === "GET" && url === "/slow") {
    return setTimeout(() => response.end("slow\n"), 50);
  }
  if (method === "GET" && url === "/block") {
    const until = performance.now() + 200;
    while (performance.now() < until); // nobody else is served meanwhile
    return response.end("blocked\n");
  }
  if (method === "GET" && url.startsWith("/status/")) {
    response.writeHead(Number(url.slice("/status/".length)));
    return response.end();
  }
  if (method === "POST" && url === "/echo") {
    response.writeHead(200, { "Content-Type": "application/octet-stream" });
    return request.pipe(response); // chunked
  }
  response.writeHead(404);
  response.end();
});
server.keepAliveTimeout = 600_000;
server.listen(Number(process.argv[2]), "127.0.0.1");
