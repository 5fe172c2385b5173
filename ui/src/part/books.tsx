// The kernel's books over time.

import type { BookPoints, Meta, Series } from "../api/types";
import { TimeChart } from "../chart/time";
import { byteRate, count, duration, rate } from "../format";
import { perSecond } from "./signals";

export function BookCharts({ data, meta }: { data: Series; meta: Meta }) {
    const of = (side: "client" | "server"): BookPoints | undefined => data.series.find((line) => line.side === side)?.books;
    const [client, server] = [of("client"), of("server")];
    const points = client ?? server;
    if (points === undefined) return null;
    const chart = { times_ms: data.times_ms, meta, height: 130 };
    const rtt = [
        ...(client ? [{ label: "client", values: client.rtt_p95_ns, tone: "client" }] : []),
        ...(server ? [{ label: "server", values: server.rtt_p95_ns, tone: "server" }] : []),
    ];
    const each = (values: readonly number[]): number[] => perSecond(values, meta.step_ms);
    return (
        <div class="grid two">
            <TimeChart
                title="Bytes"
                note={client ? "by the clients' books" : "by the servers' books"}
                {...chart}
                format={byteRate}
                lines={[
                    { label: "to the server", values: each(points.bytes_to_server), tone: "accent" },
                    { label: "to the client", values: each(points.bytes_to_client), tone: "line-2" },
                ]}
            />
            <TimeChart title="Round trip p95" {...chart} format={duration} lines={rtt} />
            <TimeChart
                title="Connections"
                {...chart}
                format={count}
                lines={[
                    { label: "open", values: points.open, tone: "accent" },
                    { label: "opened in a step", values: points.opened, tone: "dim", dashed: true },
                ]}
            />
            <TimeChart
                title="Trouble"
                note="per second"
                {...chart}
                format={rate}
                lines={[
                    { label: "sent again", values: each(points.retransmitted_segments), tone: "warn" },
                    { label: "failed connects", values: each(points.failed_connects), tone: "bad" },
                    { label: "resets", values: each(points.resets), tone: "dim", dashed: true },
                ]}
            />
        </div>
    );
}
