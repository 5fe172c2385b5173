// The requests of a service that were kept.

import type { Node, Requests } from "../../api/types";
import { full } from "../../format";
import { Answered, Nothing } from "../../part/states";
import { RequestRows, ordered } from "../../request/rows";
import { useAnswer } from "../../state/live";
import { link, text } from "../../state/place";

export function ServiceRequests({ node }: { node: Node }) {
    const asked = useAnswer<Requests>("requests", { server: node.id, text: text("q"), ...ordered(), limit: 500 });
    return (
        <section class="cardbox">
            <h2>
                Requests{" "}
                <a class="right small" href={link("requests", "", { service: full(node) })}>
                    with filters
                </a>
            </h2>
            <Answered asked={asked}>
                {(data) =>
                    data.requests.length === 0 ? (
                        <Nothing what="requests">
                            <p>
                                The agent keeps the slowest, a random one and some failed ones of each operation and minute. Of this service it has
                                none in this range.
                            </p>
                        </Nothing>
                    ) : (
                        <RequestRows answer={data} />
                    )
                }
            </Answered>
        </section>
    );
}
