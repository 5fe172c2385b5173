// What is asked of a service, operation by operation.

import type { Top } from "../../api/types";
import { Operations } from "../../part/operations";
import { Answered, Nothing } from "../../part/states";
import { Shown, sorting } from "../../part/table";
import { useAnswer } from "../../state/live";
import { text } from "../../state/place";

export function Endpoints({ id, limit }: { id: string; limit: number }) {
    const asked = useAnswer<Top>("top", { by: "operations", server: id, text: text("q"), limit, curve: 40, ...sorting("rate") });
    return (
        <section class="cardbox">
            <h2>Endpoints</h2>
            <Answered asked={asked}>
                {({ operations = [], total }, meta) =>
                    operations.length === 0 ? (
                        <Nothing what="operations">
                            <p>Nothing was asked of it in this range.</p>
                        </Nothing>
                    ) : (
                        <>
                            <Operations caption="Endpoints" rows={operations} meta={meta} withServer={false} sorted="rate" />
                            <Shown shown={operations.length} total={total} what="operations" />
                        </>
                    )
                }
            </Answered>
        </section>
    );
}
