// The requests of one operation that the agent keeps one by one: how long each took, where the time went, and why it is here.

const WHY = { slowest: "slowest of its minute", error: "failed", random: "chosen by chance" };

const total = e => e.duration_ns + (e.queue_ns ?? 0);

// In the server's socket, until the first byte of the answer, until its last. At the client there is one time only.
function parts(e) {
  if (e.side !== "server") return [["c", e.duration_ns, "as seen at the client"]];
  const service = e.service_ns ?? e.duration_ns;
  return [["c", e.queue_ns ?? 0, "waited in the server's socket"], ["s", service, "until the server answered"],
    ["r", Math.max(0, e.duration_ns - service), "until the answer was complete"]];
}

const who = end => end.service ?? end.name ?? end.ip ?? "unknown";

export function requests(answer, make, duration) {
  if (!answer) return make("p", { class: "dim" }, "asking the agent …");
  if (answer.requests.length === 0) return make("p", { class: "dim" }, "None is kept: the agent keeps the slowest, a random one and some failed ones of each minute, as long as there is room.");
  const longest = Math.max(...answer.requests.map(({ exchange }) => total(exchange)), 1);
  const row = ({ why, exchange: e }) => {
    const track = make("span", { class: "track", title: parts(e).map(([, ns, what]) => `${duration(ns)} ${what}`).join("\n") });
    for (const [kind, ns] of parts(e)) {
      const part = make("i", { class: kind });
      part.style.width = `${ns / longest * 100}%`;
      track.append(part);
    }
    const at = e.time.slice(11, 23), status = e.attributes["error.type"] ?? e.status ?? e.outcome;
    return make("tr", {}, make("td", { class: "mono" }, at), make("td", { class: e.side }, e.side), make("td", {}, `${who(e.client)} → ${who(e.server)}`),
      make("td", {}, make("span", { class: e.error ? "status bad" : "dim" }, String(status))), make("td", { class: "bar-of" }, track),
      make("td", {}, duration(total(e))), make("td", { class: "dim" }, why.map(name => WHY[name] ?? name).join(", ")));
  };
  return make("table", { class: "requests" }, make("caption", {}, `The newest ${answer.requests.length} of ${answer.matching} requests that the agent has kept. `,
    make("span", { class: "c" }, "client, or waiting to be read"), " · ", make("span", { class: "s" }, "server"), " · ", make("span", { class: "r" }, "rest of the answer")),
    make("tbody", {}, ...answer.requests.map(row)));
}
