// The front of a small shop: `node front.js PORT CART ORDERS DNS BANK`. Each request asks the DNS server at port DNS once, then
// the services at CART and ORDERS once each, and tries to connect to the address BANK:443 for a moment. It is answered when they
// have answered, whatever became of the bank.
"use strict";
const { Resolver } = require("node:dns").promises;
const http = require("node:http");
const net = require("node:net");

const [port, cart, orders, dns] = process.argv.slice(2, 6).map(Number);
const bank = process.argv[6];
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

function pay() {
  return new Promise((resolve) => {
    const socket = net.connect({ host: bank, port: 443 });
    socket.setTimeout(50, () => socket.destroy());
    socket.on("error", () => {}).on("close", resolve);
  });
}

http
  .createServer(async (request, response) => {
    number += 1;
    try {
      await resolver.resolve4("www.shop.test");
      await pay();
      const codes = [await ask(cart, `/cart/${1000 + number}`), await ask(orders, `/orders/${1000 + number}`)];
      response.writeHead(codes.every((code) => code === 200) ? 200 : 502);
    } catch {
      response.writeHead(500);
    }
    response.end();
  })
  .listen(port, "127.0.0.1");
