// Both ends tell of the same request. Where both records are kept they are shown as one row, and what neither of them spent is the network's.

import type { Exchange, Request } from "../api/types";

export interface Whole {
    key: string;
    client?: Request;
    server?: Request;
    /** The one that says most: the server's knows the queue. */
    main: Request;
}

/** What tells a request apart from every other on this host: ends, and where it began in the stream. Datagrams have no such place. */
function common(exchange: Exchange): string | null {
    const { client, server, request_seq, protocol } = exchange;
    if (client.port === null || server.port === null || request_seq === 0 || protocol === "dns") return null;
    return `${client.ip}:${client.port}-${server.ip}:${server.port}-${request_seq}`;
}

const own = ({ side, connection, request_seq, time }: Exchange): string => `${side}-${connection}-${request_seq}-${time}`;

/** In the order in which they came; a pair stands where its first half stood. */
export function wholes(requests: readonly Request[]): Whole[] {
    const all = new Map<string, Whole>();
    for (const request of requests) {
        const { exchange } = request;
        const shared = common(exchange);
        const known = shared === null ? undefined : all.get(shared);
        const side = exchange.side === "client" ? "client" : "server";
        if (known && known[side] === undefined) {
            known[side] = request;
            if (side === "server") known.main = request;
        } else {
            const key = shared === null || known ? own(exchange) : shared;
            all.set(key, { key, [side]: request, main: request });
        }
    }
    return [...all.values()];
}

/**
 * What came of it. To a client an answer of 4xx is a failure, to its server it is none: if either end says that it failed it has. Where only
 * the server's record is kept, 4xx is at least nothing that went well.
 */
export function verdict({ client, server, main }: Whole): { words: string; state: "healthy" | "degraded" | "failing" } {
    const failed = [server, client].find((record) => record?.exchange.error)?.exchange;
    const { status, outcome } = failed ?? main.exchange;
    const words = String(failed?.attributes["error.type"] ?? status ?? outcome);
    const refused = ["http", "http2"].includes(main.exchange.protocol) && /^4\d\d$/.test(String(status));
    return { words, state: failed ? "failing" : refused ? "degraded" : "healthy" };
}

export interface Part {
    kind: "network" | "queue" | "service" | "transfer" | "client";
    ns: number;
    words: string;
}

/** Where the time went, in the order in which it did. */
export function parts({ client, server, main }: Whole): Part[] {
    if (server === undefined) return [{ kind: "client", ns: main.exchange.duration_ns, words: "as the client saw it" }];
    const { duration_ns, queue_ns, service_ns } = server.exchange;
    const queue = queue_ns ?? 0;
    const service = Math.min(service_ns ?? duration_ns, duration_ns);
    const outside = client === undefined ? 0 : Math.max(0, client.exchange.duration_ns - queue - duration_ns);
    return (
        [
            { kind: "network", ns: outside, words: "network and the client's own kernel" },
            { kind: "queue", ns: queue, words: "queue: waited in the server's socket" },
            { kind: "service", ns: service, words: "service: until the server's first byte" },
            { kind: "transfer", ns: duration_ns - service, words: "transfer: until the last byte" },
        ] satisfies Part[]
    ).filter(({ ns }) => ns > 0);
}

/** From the client's first byte to its last, or as near to that as is known. */
export const lasted = (whole: Whole): number =>
    Math.max(whole.client?.exchange.duration_ns ?? 0, whole.server ? whole.server.exchange.duration_ns + (whole.server.exchange.queue_ns ?? 0) : 0);
