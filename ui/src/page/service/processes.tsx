// The processes behind a service.

import type { Entity, Process } from "../../api/types";
import { span } from "../../format";
import { type Column, Shown, Table } from "../../part/table";
import { now } from "../../state/live";

const columns: Column<Process>[] = [
    { title: "Pid", numeric: true, cell: ({ pid }) => pid },
    { title: "Name", cell: ({ name }) => name },
    { title: "Executable", cell: ({ executable }) => <span class="mono">{executable || "–"}</span> },
    { title: "Unit", cell: ({ unit }) => unit || "–" },
    { title: "Container", cell: ({ container, container_name }) => [container_name, container].filter((part) => part !== "").join(" · ") || "–" },
    { title: "Image", cell: ({ image }) => image || "–" },
    { title: "Pod", cell: ({ pod }) => pod || "–" },
    { title: "Listens at", cell: ({ listening }) => listening.join(", ") || "–" },
    { title: "Running for", numeric: true, cell: ({ started_ms }) => (started_ms === null ? "–" : span((now.value - started_ms) / 1000)) },
];

export const Processes = ({ entity }: { entity: Entity }) => (
    <section class="cardbox">
        <h2>Processes</h2>
        {entity.processes.length === 0 ? (
            <p class="none">
                None of its processes is alive on this host{entity.node.kind === "external" ? ": it is somewhere else" : ", or it is another host's"}.
            </p>
        ) : (
            <Table caption="Processes" columns={columns} rows={entity.processes} id={({ pid }) => String(pid)} />
        )}
        <Shown shown={entity.processes.length} total={entity.processes_total} what="processes" how="the others are like these" />
    </section>
);
