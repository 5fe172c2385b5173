// The live page. Everything that comes from the network is put in as text (textContent), never as HTML.

import { requests } from "./requests.js";

const RANGES = [[3, "30 s"], [6, "1 min"], [30, "5 min"], [90, "15 min"]];
const SHOWN_OPERATIONS = 6;
const REFRESH = 2000;
const PROTOCOLS = { http: "HTTP", redis: "Redis", mysql: "MySQL", postgresql: "PostgreSQL", dns: "DNS" };
const COLUMNS = [
  { key: "name", label: "Service and operation", text: true },
  { key: "rate", label: "Requests/s", of: x => x.rate },
  { key: "errors", label: "Errors", of: x => share(worst(x)) },
  { key: "slow", label: "Slow", of: x => share(slowSide(x), "slow") },
  ...["client", "server"].flatMap(side => ["p50", "p95", "p99"].map(p => (
    { key: `${side}.${p}`, label: p, side, p: `${p}_ns`, of: x => x.sides[side]?.[`${p}_ns`] ?? -1 }))),
  // Its parts: until somebody read the request, and from there to the answer's first byte.
  ...["queue", "service"].map(part => ({ key: part, label: `${part} p95`, side: "server", part, of: x => x.sides.server?.[part]?.p95_ns ?? -1 })),
  { key: "outside", label: "p95 outside the server", of: x => outside(x) ?? -1 },
  { key: "bytes", label: "In / out per s", of: x => bytes(x) },
];

const at = id => document.getElementById(id);
const asked = new URLSearchParams(location.hash.slice(1));
const state = {
  last: RANGES.some(([n]) => n === Number(asked.get("last"))) ? Number(asked.get("last")) : 6,
  sort: COLUMNS.some(c => c.key === asked.get("sort")) ? asked.get("sort") : "rate",
  up: asked.get("up") === "1",
  filter: asked.get("filter") ?? "",
  chosen: asked.has("operation") ? { service: asked.get("service") ?? "", operation: asked.get("operation") } : null, requests: null,
  closed: new Set(), all: new Set(),
  data: null, health: null, received: 0, age: 0, failed: false,
};

// --- small pieces -------------------------------------------------------------------------------------------------

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") element.className = value;
    else if (name === "on") element.addEventListener("click", value);
    else if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter(child => child !== null && child !== undefined && child !== ""));
  return element;
}

function draw(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const digits = (value, n) => value.toLocaleString("en", { minimumFractionDigits: n, maximumFractionDigits: n });
const significant = value => digits(value, value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2);
const number = value => value.toLocaleString("en", { maximumFractionDigits: 0 });
const rate = value => value === 0 ? "0" : value < 0.01 ? "<0.01" : value >= 100 ? number(value) : digits(value, value < 1 ? 2 : 1);
const percent = value => value === 0 ? "0%" : value < 0.0001 ? "<0.01%" : `${digits(value * 100, value < 0.0995 ? 2 : 1)}%`;

function duration(ns) {
  if (ns === null || ns === undefined) return null;
  const [value, unit] = ns < 999.5e3 ? [ns / 1e3, "µs"] : ns < 999.5e6 ? [ns / 1e6, "ms"] : [ns / 1e9, "s"];
  return `${significant(value)} ${unit}`;
}

function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (bytes >= 999.5 && unit < units.length - 1) { bytes /= 1000; unit++; }
  return `${unit === 0 || bytes >= 99.95 ? number(bytes) : digits(bytes, 1)} ${units[unit]}`;
}

function time(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${digits(seconds / 3600, 1)} h` : `${Math.round(seconds / 86400)} days`;
}

// --- what the numbers mean ----------------------------------------------------------------------------------------

const leading = x => x.sides.server ?? x.sides.client ?? x.sides.network;
// Errors as the caller has them, where both sides were seen: a request that never got through failed for him alone.
const worst = x => [x.sides.client, x.sides.server, x.sides.network].filter(Boolean)
  .reduce((a, b) => share(b) > share(a) ? b : a);
// Likewise: what is slow on the way is slow for the caller alone.
const slowSide = x => [x.sides.client, x.sides.server, x.sides.network].filter(Boolean)
  .reduce((a, b) => share(b, "slow") > share(a, "slow") ? b : a);
const share = (side, what = "errors") => side.count === 0 ? 0 : side[what] / side.count;
const bytes = x => leading(x).request_bytes + leading(x).response_bytes;

// Client minus server, only if both sides saw about the same exchanges: with callers on other hosts it would compare
// different requests.
function outside(x) {
  const { client, server } = x.sides;
  if (!client?.p95_ns || !server?.p95_ns) return null;
  const same = Math.min(client.count, server.count) >= 0.9 * Math.max(client.count, server.count);
  return same ? Math.max(0, client.p95_ns - server.p95_ns) : null;
}

function errors(x) {
  const side = worst(x), value = share(side);
  const title = `${number(side.errors)} of ${number(side.count)} failed`;
  if (value < 0.005) return make("span", { class: value === 0 ? "dim" : "", title }, percent(value));
  return make("span", { class: `pill ${value < 0.02 ? "warn" : "bad"}`, title }, percent(value));
}

function slow(x) {
  const side = slowSide(x), value = share(side, "slow");
  const title = `${number(side.slow)} of ${number(side.count)} took longer than the protocol's threshold`;
  return make("span", { class: value === 0 ? "dim" : value < 0.05 ? "" : "pill warn", title }, percent(value));
}

function sparkline(values, label, width = 72, height = 20) {
  const svg = draw("svg", { class: "spark", width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  if (values.length < 2) return svg;
  const top = Math.max(...values, 1e-9);
  const points = values.map((v, i) => [i / (values.length - 1) * width, height - 1.5 - v / top * (height - 4)]);
  const line = `M${points.map(p => p.map(n => n.toFixed(1)).join(" ")).join("L")}`;
  svg.append(draw("path", { class: "area", d: `${line}L${width} ${height}L0 ${height}Z` }), draw("path", { d: line }));
  return svg;
}

// --- the table ----------------------------------------------------------------------------------------------------

function cells(x) {
  const list = [make("td", {}, errors(x)), make("td", {}, slow(x))];
  for (const column of COLUMNS.filter(c => c.side)) {
    const side = x.sides[column.side], text = duration(column.part ? side?.[column.part]?.p95_ns : side?.[column.p]);
    const waits = side?.blocking ? "waits by design" : `not observed at the ${column.side}'s socket`;
    const title = column.part && text ? `half of them at most ${duration(side[column.part].p50_ns)}` : undefined;
    list.push(text ? make("td", { class: column.p === "p95_ns" ? column.side : "", title }, text)
      : make("td", { class: "dim", title: waits }, "–"));
  }
  const gap = outside(x);
  list.push(make("td", { class: "outside" }, gap === null ? make("span", { class: "dim", title: "needs both sides of (nearly) every exchange" }, "–") : bar(x, gap)));
  const side = leading(x), seconds = state.data.seconds;
  list.push(make("td", { class: "dim" }, `${size(side.request_bytes / seconds)} / ${size(side.response_bytes / seconds)}`));
  return list;
}

function bar(x, gap) {
  const client = x.sides.client.p95_ns, server = Math.min(x.sides.server.p95_ns, client);
  const inside = make("i", { class: "s" }), rest = make("i", { class: "c" });
  inside.style.width = `${server / client * 100}%`;
  rest.style.width = `${100 - server / client * 100}%`;
  const title = `of the client's ${duration(client)} the server had ${duration(x.sides.server.p95_ns)}; the rest is network and queues`;
  return make("span", { class: "gap", title }, make("span", { class: gap / client > 0.5 ? "client" : "dim" }, gap < 1000 ? "0" : duration(gap)),
    make("span", { class: "track", "aria-hidden": "true" }, inside, rest));
}

function service(x, wide) {
  const open = !state.closed.has(x.name);
  const toggle = make("button", { class: "toggle", type: "button", "data-focus": `toggle ${x.name}`, "aria-expanded": String(open),
    "aria-label": `Operations of ${x.name}`, on: () => { flip(state.closed, x.name); render(); } },
    draw("svg", { width: 16, height: 16, viewBox: "0 0 16 16", fill: "none", stroke: "currentColor", "stroke-width": 2, "aria-hidden": "true" }, draw("path", { d: "M6 4l4 4-4 4" })));
  const tags = [...x.protocols.map(p => PROTOCOLS[p] ?? p), x.ports.map(p => `:${p}`).join(" ")];
  const callers = make("div", { class: "callers" }, "from ");
  x.callers.slice(0, 3).forEach((caller, i) => callers.append(i ? ", " : "", make("b", {}, caller.name), ` ${rate(caller.rate)}/s`));
  if (x.callers_total > 3) callers.append(`, ${x.callers_total - 3} more`);
  callers.title = x.callers.map(c => `${c.name} ${rate(c.rate)}/s`).join("\n");
  const title = make("div", { class: "title" }, toggle, make("span", { class: "name", title: x.name }, x.name),
    ...tags.filter(Boolean).map(tag => make("span", { class: "tag" }, tag)));
  const trend = make("span", { class: "rate" }, sparkline(x.rates, "rate over the last five minutes"), make("span", {}, rate(x.rate)));
  const body = make("tbody", {}, make("tr", { class: "service" }, make("th", { scope: "rowgroup" }, title, callers), make("td", {}, trend), ...cells(x)));
  if (!open) return body;
  const all = state.all.has(x.name) || wide;
  const operations = sorted(x.operations);
  const shown = operations.slice(0, all ? undefined : SHOWN_OPERATIONS);
  body.append(...shown.flatMap(o => chosen(x, o) ? [operation(x, o), panel()] : [operation(x, o)]));
  const hidden = operations.length - SHOWN_OPERATIONS;
  if (hidden > 0 && !wide) {
    const text = all ? "show fewer operations" : `show ${hidden} more of ${x.operations_total} operations`;
    body.append(make("tr", { class: "operation more" }, make("th", { scope: "row", colspan: COLUMNS.length }, make("button", { class: "tag", type: "button",
      "data-focus": `all ${x.name}`, on: () => { flip(state.all, x.name); render(); } }, text))));
  }
  return body;
}

const chosen = (service, x) => state.chosen?.service === service.name && state.chosen.operation === x.name;

function panel() {
  return make("tr", { class: "kept" }, make("td", { colspan: COLUMNS.length }, requests(state.requests, make, duration)));
}

function choose(service, x) {
  state.chosen = chosen(service, x) ? null : { service: service.name, operation: x.name };
  state.requests = null;
  render();
  refresh();
}

function operation(of, x) {
  const space = x.protocol === "http" ? x.name.indexOf(" ") : -1;
  const open = chosen(of, x);
  const name = make("button", { class: "name mono", type: "button", title: `${x.name}\nshow requests`, "aria-expanded": String(open),
    "data-focus": `requests ${of.name} ${x.name}`, on: () => choose(of, x) }, space > 0 ? make("span", { class: "verb" }, x.name.slice(0, space)) : "", x.name.slice(Math.max(space, 0)));
  const statuses = make("span", { class: "statuses" });
  const usual = x.protocol === "http" ? /^[123]/ : /^(OK|NOERROR|)$/;
  for (const [status, count] of Object.entries(x.statuses).filter(([s]) => !usual.test(s)).sort((a, b) => b[1] - a[1]).slice(0, 3)) {
    const bad = x.protocol === "http" ? !/^4/.test(status) : true;
    statuses.append(make("span", { class: bad ? "status bad" : "status", title: `${number(count)} times` }, status || "no answer"));
  }
  return make("tr", { class: "operation" }, make("th", { scope: "row" }, name, statuses), make("td", {}, rate(x.rate)), ...cells(x));
}

function head() {
  const sort = column => {
    const now = state.sort === column.key;
    const arrow = now ? (state.up ? " ↑" : " ↓") : "";
    return make("th", { scope: "col", "aria-sort": now ? (state.up ? "ascending" : "descending") : false },
      make("button", { type: "button", "data-focus": `sort ${column.key}`, on: () => {
        state.up = now ? !state.up : Boolean(column.text);
        state.sort = column.key;
        render();
      } }, column.side ? make("span", { class: "sr" }, `${column.side} `) : "", column.label + arrow));
  };
  const side = (name, colspan) => make("th", { class: `side ${name}`, colspan, scope: "colgroup" }, make("span", {}, `${name} side`));
  at("head").replaceChildren(make("tr", {}, make("td", { colspan: 4 }), side("client", 3), side("server", 5), make("td", { colspan: 2 })),
    make("tr", {}, ...COLUMNS.map(sort)));
}

function sorted(list) {
  const column = COLUMNS.find(c => c.key === state.sort);
  const order = column.text ? (a, b) => a.name.localeCompare(b.name) : (a, b) => column.of(a) - column.of(b);
  return [...list].sort((a, b) => (state.up ? order(a, b) : order(b, a)) || b.rate - a.rate || a.name.localeCompare(b.name));
}

function flip(set, name) {
  if (!set.delete(name)) set.add(name);
}

function matching() {
  const wanted = state.filter.trim().toLowerCase();
  if (!wanted) return state.data.services;
  const has = text => text.toLowerCase().includes(wanted);
  return state.data.services.flatMap(x => {
    if (has(x.name)) return [x];
    const operations = x.operations.filter(o => has(o.name));
    return operations.length ? [{ ...x, operations, operations_total: operations.length }] : [];
  });
}

// --- around it ----------------------------------------------------------------------------------------------------

function cards() {
  const { services, seconds } = state.data, ledger = state.health?.ledger;
  const total = services.reduce((sum, x) => sum + x.rate, 0);
  const failed = services.reduce((sum, x) => sum + share(worst(x)) * x.rate, 0);
  const points = Math.max(0, ...services.map(x => x.rates.length));
  const history = Array.from({ length: points }, (_, i) => services.reduce((sum, x) => sum + (x.rates[i] ?? 0), 0));
  const slowest = [...services].map(x => [outside(x) ?? -1, x]).sort((a, b) => b[0] - a[0])[0];
  const seen = ledger ? ledger.reported + ledger.lost : 0;
  const card = (label, big, unit, sub, graph) => make("div", { class: "card" }, make("h2", {}, label),
    make("p", { class: "big" }, big, unit ? make("span", { class: "unit" }, unit) : ""), make("p", { class: "sub", title: sub }, sub), graph ?? "");
  at("cards").replaceChildren(
    card("Requests", rate(total), "/s", `${number(state.data.services_total)} services, last ${time(seconds)}`, sparkline(history, "rate of all services over the last five minutes", 96, 32)),
    card("Failed", percent(total ? failed / total : 0), "", `${rate(failed)}/s, as the caller sees it`),
    slowest && slowest[0] > 0 ? card("Most time lost outside a server", duration(slowest[0]), "at p95", `on the way to ${slowest[1].name}: network and queues`)
      : card("Time lost outside servers", "–", "", "needs both sides of a connection"),
    card("Reported", seen ? (ledger.lost ? `${digits(Math.floor(ledger.reported / seen * 1e4) / 100, 2)}%` : "100%") : "–", "",
      ledger ? (ledger.lost ? `${number(ledger.lost)} of ${number(seen)} exchanges lost` : `${number(seen)} seen, none lost`) : "waiting for the agent"));
}

function footer() {
  const h = state.health;
  if (!h) return;
  const item = (label, value, attributes = {}) => make("span", attributes, `${label} `, make("b", {}, value));
  const lost = Object.entries(h.ledger.lost_by).filter(([, n]) => n > 0);
  const missing = h.hooks.filter(hook => !hook.attached);
  at("footer").replaceChildren(
    item("seen", number(h.ledger.reported + h.ledger.lost)), item("reported", number(h.ledger.reported)),
    item("lost", number(h.ledger.lost), { class: h.ledger.lost ? "lost" : "" }),
    ...lost.map(([reason, n]) => item(reason.replaceAll("_", " "), number(n), { title: h.reasons[reason] ?? "" })),
    make("span", { class: "grow" }),
    item("hooks", `${h.hooks.length - missing.length} of ${h.hooks.length}`, { title: missing.map(m => `${m.name}: ${m.note}`).join("\n") || "all attached" }),
    item("agent", `${digits(h.cpu.percent, 2)}% of a core`), item("memory", size(h.memory_bytes)), item("up", time(h.uptime_seconds)),
    make("span", {}, `steth ${h.version}, Linux ${h.kernel}`), make("span", {}, make("a", { href: "/metrics" }, "/metrics")));
}

function empty() {
  const box = at("empty"), missing = state.health?.hooks.filter(hook => !hook.attached) ?? [];
  const none = state.data.services.length === 0;
  if (!none) {
    box.replaceChildren(make("h2", {}, "Nothing matches the filter"), make("p", {}, `No service and no operation contains “${state.filter}”.`),
      make("button", { class: "tag", type: "button", on: () => { state.filter = at("filter").value = ""; render(); } }, "clear the filter"));
    return;
  }
  box.replaceChildren(make("h2", {}, "No requests seen yet"),
    make("p", {}, `Nothing this agent understands was said in the last ${time(state.last * 10)}. It reads HTTP/1 and Redis on TCP, of every process on this host, also those that started before it.`),
    make("ol", {},
      make("li", {}, "Send a request to any service here: ", make("code", {}, "curl http://127.0.0.1:8080/")),
      make("li", {}, "See every exchange as it happens: ", make("code", {}, "sudo steth watch")),
      make("li", {}, "Ask what this kernel allows: ", make("code", {}, "sudo steth doctor"))),
    ...missing.map(hook => make("p", {}, "Not attached: ", make("code", {}, hook.name), ` ${hook.note}`)));
}

function render() {
  if (!state.data) return;
  const focused = document.activeElement?.dataset?.focus;
  head();
  cards();
  footer();
  const found = matching(), table = at("table");
  table.querySelectorAll("tbody").forEach(body => body.remove());
  table.append(...sorted(found).map(x => service(x, state.filter !== "")));
  table.hidden = found.length === 0;
  at("empty").hidden = found.length !== 0;
  if (found.length === 0) empty();
  const { services, services_total: total, misplaced } = state.data, folded = misplaced.folded_operations + misplaced.folded_rows;
  const notes = [total > services.length && `showing the ${services.length} busiest of ${total} services`,
    folded > 0 && `${number(folded)} exchanges are counted under “other”: too many different operations, statuses or clients`].filter(Boolean);
  at("note").hidden = notes.length === 0;
  at("note").textContent = notes.join("; ");
  for (const button of at("ranges").children) button.setAttribute("aria-pressed", String(Number(button.value) === state.last));
  if (focused) document.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  const hash = new URLSearchParams({ last: state.last, sort: state.sort });
  if (state.up) hash.set("up", "1");
  if (state.filter) hash.set("filter", state.filter);
  for (const [name, value] of Object.entries(state.chosen ?? {})) hash.set(name, value);
  history.replaceState(null, "", `#${hash}`);
}

function age() {
  const seconds = (state.age + performance.now() - state.received) / 1000;
  const live = at("live");
  live.dataset.state = state.failed ? "lost" : !state.data ? "wait" : seconds > 15 ? "stale" : "live";
  at("age").textContent = !state.data ? (state.failed ? "no connection" : "connecting")
    : `${state.failed ? "Lost" : seconds > 15 ? "Stale" : "Live"} · ${time(Math.max(0, seconds))} old`;
  at("banner").hidden = !state.failed;
  at("banner").textContent = `The agent does not answer at ${location.host}. Is it running? Trying again every two seconds.`;
}

async function refresh() {
  if (document.hidden) return;
  try {
    const wait = { signal: AbortSignal.timeout(10000), cache: "no-store" };
    const wanted = state.chosen;
    const ask = wanted ? fetch(`/api/v1/requests?${new URLSearchParams({ ...wanted, limit: 12 })}`, wait) : null;
    const [windows, health, kept] = await Promise.all([fetch(`/api/v1/windows?last=${state.last}`, wait), fetch("/api/v1/health", wait), ask]);
    if (!windows.ok || !health.ok || kept?.ok === false) throw new Error(`HTTP ${windows.status}, ${health.status}, ${kept?.status}`);
    [state.data, state.health] = [await windows.json(), await health.json()];
    // Another one may have been chosen meanwhile.
    if (kept && wanted === state.chosen) state.requests = (await kept.json()).data;
    state.age = Math.max(0, Number(windows.headers.get("steth-now")) - state.data.to_ms);
    state.received = performance.now();
    state.failed = false;
    // Text that someone is selecting stays where it is.
    if (getSelection()?.isCollapsed ?? true) render();
  } catch {
    state.failed = true;
  }
  age();
}

at("filter").value = state.filter;
at("filter").addEventListener("input", event => { state.filter = event.target.value; render(); });
at("ranges").append(...RANGES.map(([last, label]) => make("button", { type: "button", value: last, on: () => { state.last = last; refresh(); } }, label)));
addEventListener("keydown", event => {
  if (event.key === "/" && document.activeElement !== at("filter")) { event.preventDefault(); at("filter").focus(); }
  if (event.key === "Escape" && document.activeElement === at("filter")) { state.filter = at("filter").value = ""; at("filter").blur(); render(); }
});
document.addEventListener("visibilitychange", refresh);
setInterval(age, 1000);
(async () => { for (;;) { await refresh(); await new Promise(done => setTimeout(done, REFRESH)); } })();
