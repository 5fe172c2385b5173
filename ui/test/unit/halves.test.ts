import assert from "node:assert/strict";
import { test } from "node:test";
import type { Exchange, Request } from "../../src/api/types";
import { lasted, parts, verdict, wholes } from "../../src/request/halves";

function request(side: "client" | "server", over: Partial<Exchange> = {}): Request {
    const exchange: Exchange = {
        time: "2026-01-01T00:00:00.5Z",
        protocol: "http",
        side,
        client: { ip: "127.0.0.1", port: 4000 },
        server: { ip: "127.0.0.1", port: 80 },
        operation: "GET /",
        status: 200,
        error: false,
        outcome: "answered",
        duration_ns: 100,
        first_byte_ns: 100,
        queue_ns: null,
        service_ns: null,
        accept_wait_ns: null,
        request_bytes: 1,
        response_bytes: 1,
        connection: side === "client" ? 1 : 2,
        request_seq: 77,
        response_seq: 1,
        attributes: {},
        ...over,
    };
    return { why: ["slowest"], instants: { arrival: null, start: null, request_end: null, first_byte: null, end: null }, exchange };
}

test("both ends' records of one request are one row", () => {
    const [whole, ...rest] = wholes([request("client"), request("server")]);
    assert.equal(rest.length, 0);
    assert.equal(whole?.client?.exchange.side, "client");
    assert.equal(whole?.main.exchange.side, "server");
});

test("other requests of the connection, and datagrams, stay apart", () => {
    assert.equal(wholes([request("client"), request("server", { request_seq: 78 })]).length, 2);
    assert.equal(wholes([request("client", { protocol: "dns" }), request("server", { protocol: "dns" })]).length, 2);
    const keys = wholes([request("client"), request("client", { time: "2026-01-01T00:00:01Z" })]).map(({ key }) => key);
    assert.equal(new Set(keys).size, 2);
});

test("where the time went adds up to what the client waited", () => {
    const [whole] = wholes([request("client", { duration_ns: 1000 }), request("server", { duration_ns: 300, queue_ns: 500, service_ns: 250 })]);
    assert.ok(whole);
    assert.deepEqual(
        parts(whole).map(({ kind, ns }) => [kind, ns]),
        [
            ["network", 200],
            ["queue", 500],
            ["service", 250],
            ["transfer", 50],
        ],
    );
    assert.equal(
        parts(whole).reduce((sum, { ns }) => sum + ns, 0),
        lasted(whole),
    );
});

test("an answer of 4xx failed for the client, and is never shown as if it went well", () => {
    const refused = { operation: "POST /checkout", status: 402 };
    const client = request("client", { ...refused, error: true, attributes: { "error.type": "402" } });
    const server = request("server", refused);
    const states = [[client], [server], [client, server], [request("server")], [request("server", { status: 503, error: true })]].map((records) => {
        const [whole] = wholes(records);
        return whole && verdict(whole);
    });
    assert.deepEqual(states, [
        { words: "402", state: "failing" },
        { words: "402", state: "degraded" },
        { words: "402", state: "failing" },
        { words: "200", state: "healthy" },
        { words: "503", state: "failing" },
    ]);
    // A code of another protocol that looks like one.
    const [other] = wholes([request("server", { protocol: "mysql", status: 412 })]);
    assert.equal(other && verdict(other).state, "healthy");
});

test("clocks that disagree make no negative time", () => {
    const [whole] = wholes([request("client", { duration_ns: 10 }), request("server", { duration_ns: 300, queue_ns: 500, service_ns: 400 })]);
    assert.ok(whole && parts(whole).every(({ ns }) => ns > 0));
});
