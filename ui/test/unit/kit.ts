// Maps made by hand, for the tests of the map.

import type { Edge, Node, Signals, Topology } from "../../src/api/types";

export const id = (n: number): string => n.toString(16).padStart(16, "0");

export function signals(rate: number, errors = 0): Signals {
    const count = rate * 60;
    const duration = { count, mean_ns: 1e6, p50_ns: 1e6, p95_ns: 2e6, p99_ns: 3e6, max_ns: 4e6 };
    return {
        count,
        rate,
        errors,
        error_ratio: count > 0 ? errors / count : 0,
        slow: 0,
        blocking: 0,
        request_bytes: 0,
        response_bytes: 0,
        time_ns: count * 1e6,
        duration,
    };
}

export function node(n: number, over: Partial<Node> = {}): Node {
    return {
        id: id(n),
        name: `n${n}`,
        namespace: "",
        kind: "service",
        protocols: [],
        ports: [],
        listening: [],
        queues: [],
        answers: { preferred: "server", server: signals(1) },
        asks: { preferred: null },
        health: { state: "healthy", findings: [] },
        ...over,
    };
}

export function edge(client: number, server: number, over: Partial<Edge> = {}): Edge {
    return {
        client: id(client),
        client_name: `n${client}`,
        server: id(server),
        server_name: `n${server}`,
        port: 80,
        protocol: "http",
        transport: "tcp",
        guessed: false,
        signals: { preferred: "server", server: signals(1) },
        books: { preferred: null },
        state: "healthy",
        ...over,
    };
}

export const map = (nodes: Node[], edges: Edge[]): Topology => ({ nodes_total: nodes.length, nodes, edges_total: edges.length, edges });
