// Who asks a service, and whom it asks.

import { knownSeconds } from "../../api/meta";
import type { Entity, Meta } from "../../api/types";
import { EdgeTable } from "../../map/edges";
import { Shown } from "../../part/table";

export function Dependencies({ entity, meta }: { entity: Entity; meta: Meta }) {
    const seconds = knownSeconds(meta);
    return (
        <>
            <section class="cardbox">
                <h2>Callers</h2>
                {entity.callers.length === 0 ? (
                    <p class="none">Nobody asked it anything in this range.</p>
                ) : (
                    <EdgeTable caption="Callers" edges={entity.callers} seconds={seconds} ends="client" />
                )}
                <Shown shown={entity.callers.length} total={entity.callers_total} what="callers" how="the busiest are here" />
            </section>
            <section class="cardbox">
                <h2>Dependencies</h2>
                {entity.dependencies.length === 0 ? (
                    <p class="none">It asked nobody anything in this range.</p>
                ) : (
                    <EdgeTable caption="Dependencies" edges={entity.dependencies} seconds={seconds} ends="server" />
                )}
                <Shown shown={entity.dependencies.length} total={entity.dependencies_total} what="dependencies" how="the busiest are here" />
            </section>
        </>
    );
}
