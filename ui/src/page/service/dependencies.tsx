// Who asks a service, and whom it asks.

import { knownSeconds } from "../../api/meta";
import type { Entity, Meta } from "../../api/types";
import { EdgeTable } from "../../map/edges";

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
            </section>
            <section class="cardbox">
                <h2>Dependencies</h2>
                {entity.dependencies.length === 0 ? (
                    <p class="none">It asked nobody anything in this range.</p>
                ) : (
                    <EdgeTable caption="Dependencies" edges={entity.dependencies} seconds={seconds} ends="server" />
                )}
            </section>
        </>
    );
}
