// What was found, in sentences.

import type { Finding } from "../api/types";

export const Findings = ({ findings }: { findings: readonly Finding[] }) =>
    findings.length === 0 ? null : (
        <ul class="findings" aria-label="What was found">
            {findings.map(({ about, state, sentence, detail }) => (
                <li key={about + sentence} class={state}>
                    <b>{sentence}</b> {detail}
                </li>
            ))}
        </ul>
    );
