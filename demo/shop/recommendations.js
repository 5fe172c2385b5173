// What else a customer may like: the failing dependency. One answer in eight is 503; every two minutes it is worse for a while.
"use strict";
const { call, serve } = require("./calls.js");

function failing() {
  const seconds = (Date.now() / 1000) % 120;
  return Math.random() < (seconds > 40 && seconds < 55 ? 0.5 : 0.12);
}

serve(async (method, url) => {
  const user = Number(url.pathname.split("/")[2]);
  if (method !== "GET" || !Number.isInteger(user)) return [404, { error: "no such thing" }];
  if (failing()) return [503, { error: "the model is being loaded" }];
  const liked = await Promise.all([1 + (user % 200), 1 + ((user * 7) % 200)].map((id) => call("catalog", "GET", `/products/${id}`)));
  return [200, liked.map((answer) => answer.body)];
});
