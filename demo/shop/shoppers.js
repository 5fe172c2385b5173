// The customers: requests at times that do not depend on the answers, SHOP_RATE of them a second on average, a third more or less in the
// course of two minutes, and nearly twice as many in a sale, for eight seconds of each minute. In a sale people buy.
"use strict";
const http = require("node:http");

const [host, port] = process.env.SHOP_NGINX.split(":");
const rate = Number(process.env.SHOP_RATE);
const agent = new http.Agent({ keepAlive: true, maxSockets: 64, maxFreeSockets: 64 });
const words = ["red", "green", "blue", "small", "large", "wool", "linen", "oak"];
const any = (n) => 1 + Math.floor(Math.random() * n);
const started = Date.now();

function send(method, path, body) {
  const text = body && JSON.stringify(body);
  const headers = text ? { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(text) } : {};
  const request = http.request({ host, port, method, path, agent, headers, timeout: 10000 }, (response) => {
    response.resume().on("error", () => {});
  });
  request.on("timeout", () => request.destroy());
  request.on("error", () => {});
  request.end(text);
}

// [how often, in a sale, what]
const visits = [
  [26, 20, () => send("GET", `/?user=${any(900)}`)],
  [26, 22, () => send("GET", `/products/${any(200)}`)],
  [9, 6, () => send("GET", `/search?q=${words[any(words.length) - 1]}`)],
  [10, 8, () => send("GET", "/static/logo.svg")],
  [9, 14, () => send("POST", "/cart", { user: any(900), product: any(200) })],
  [6, 6, () => send("GET", `/cart/${any(900)}`)],
  [4, 2, () => send("GET", `/orders/${any(900)}`)],
  [2, 1, () => send("GET", `/shipping/${10000 + any(900)}`)],
  [7, 16, () => send("POST", "/checkout", { user: any(900), product: any(200) })],
  [1, 1, () => send("GET", "/products/9999")],
];

function visit() {
  const seconds = (Date.now() - started) / 1000;
  const sale = seconds % 60 >= 30 && seconds % 60 < 38;
  let left = Math.random() * visits.reduce((sum, of) => sum + of[sale ? 1 : 0], 0);
  const chosen = visits.find((of) => (left -= of[sale ? 1 : 0]) < 0) || visits[0];
  chosen[2]();
  const now = rate * (1 + Math.sin((seconds * Math.PI) / 60) / 3) * (sale ? 1.8 : 1);
  // The time between two of many independent customers.
  setTimeout(visit, (-Math.log(1 - Math.random()) * 1000) / now);
}

visit();
