// The front of a small shop: `node front.js PORT CART ORDERS DNS`. Each request asks the DNS server at port DNS once, then the
// services at CART and ORDERS once each, and is answered when they have answered.
"use strict";
const { Resolver } = require("node:dns").promises;
const http = require("node:http");

const [port, cart, orders, dns] = process.argv.slice(2).map(Number);
const resolver = new Resolver();
resolver.setServers([`127.0.0.1:${dns}`]);
const agent = new http.Agent({ keepAlive: true });
let number = 0;

function ask(port, path) {
  return new Promise((resolve, reject) => {
    http
      .get({ host: "127.0.0.1", port, path, agent }, (response) => {
        response.on("end", () => resolve(response.statusCode)).resume();
      })
      .on("error", reject);
  });
}

http
  .createServer(async (request, response) => {
    number += 1;
    try {
      await resolver.resolve4("www.shop.test");
      const codes = [await ask(cart, `/cart/${1000 + number}`), await ask(orders, `/orders/${1000 + number}`)];
      response.writeHead(codes.every((code) => code === 200) ? 200 : 502);
    } catch {
      response.writeHead(500);
    }
    response.end();
  })
  .listen(port, "127.0.0.1");
