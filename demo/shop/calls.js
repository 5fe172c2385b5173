// What the node services of the shop have in common: names from the shop's own DNS, and calls to other services.
"use strict";
const { Resolver } = require("node:dns").promises;
const http = require("node:http");

// How long a name is kept, in milliseconds. Short, so that DNS stays on the map.
const KEEP = 4000;

const resolver = new Resolver({ timeout: 1000, tries: 2 });
resolver.setServers([process.env.SHOP_DNS]);
const known = new Map();
const agent = new http.Agent({ keepAlive: true, maxSockets: 48, maxFreeSockets: 16 });

async function address(name) {
  const kept = known.get(name);
  if (kept && kept.until > Date.now()) return kept.found;
  const found = resolver.resolve4(`${name}.shop.internal`).then((all) => all[0]);
  known.set(name, { found, until: Date.now() + KEEP });
  found.catch(() => known.delete(name));
  return found;
}

// `await call("catalog", "GET", "/products/7")` is { status, body }; it rejects if there is no answer within five seconds.
async function call(service, method, path, body) {
  const [name, port] = process.env[`SHOP_${service.toUpperCase()}`].split(":");
  const host = await address(name);
  const text = body === undefined ? undefined : JSON.stringify(body);
  const headers = { Host: `${name}:${port}` };
  if (text !== undefined) headers["Content-Length"] = Buffer.byteLength(text);
  return new Promise((resolve, reject) => {
    const request = http.request({ host, port, path, method, agent, headers, timeout: 5000 }, (response) => {
      const pieces = [];
      response.on("data", (piece) => pieces.push(piece));
      response.on("end", () => {
        let answer = null;
        try {
          answer = JSON.parse(Buffer.concat(pieces).toString());
        } catch {
          // no JSON: the status has to do
        }
        resolve({ status: response.statusCode, body: answer });
      });
      response.on("error", reject);
    });
    request.on("timeout", () => request.destroy(new Error(`${service} took too long`)));
    request.on("error", reject);
    request.end(text);
  });
}

// Serves `handle(method, url, body)`, which returns [status, JSON] or a promise of it.
function serve(handle) {
  const [host, port] = process.env.SHOP_LISTEN.split(":");
  const server = http.createServer((request, response) => {
    const pieces = [];
    request.on("data", (piece) => pieces.push(piece));
    request.on("end", async () => {
      let answer;
      try {
        const text = Buffer.concat(pieces).toString();
        answer = await handle(request.method, new URL(request.url, "http://shop"), text ? JSON.parse(text) : {});
      } catch (error) {
        answer = [/too long/.test(error.message) ? 504 : 502, { error: error.message }];
      }
      const text = JSON.stringify(answer[1]);
      response.writeHead(answer[0], { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(text) });
      response.end(text);
    });
  });
  server.keepAliveTimeout = 65000;
  server.listen(Number(port), host);
}

module.exports = { address, call, serve };
