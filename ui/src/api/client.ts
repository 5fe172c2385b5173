// Asks the agent. URLs are relative: the page may stand behind any prefix.

import type { Answer, AgentHealth } from "./types";

/** Why there is no answer. `status` is 0 if nobody answered at all. */
export class Refusal extends Error {
    constructor(
        readonly status: number,
        message: string,
    ) {
        super(message);
    }
}

export type Parameters = Record<string, string | number | boolean | undefined>;

/** `top?by=services&limit=10`; what is undefined or empty is left out. */
export function question(path: string, parameters: Parameters): string {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(parameters)) {
        if (value !== undefined && value !== "") query.set(name, String(value));
    }
    const text = query.toString();
    return text === "" ? path : `${path}?${text}`;
}

/** The difference between the agent's clock and this one, from the last answer: ages are told by the agent's. */
let ahead_ms = 0;
export const agentNow = (): number => Date.now() + ahead_ms;

async function get(path: string, signal?: AbortSignal): Promise<unknown> {
    let response: Response;
    try {
        response = await fetch(`api/v1/${path}`, { ...(signal ? { signal } : {}), credentials: "same-origin", cache: "no-store" });
    } catch (error) {
        if (signal?.aborted) throw error;
        throw new Refusal(0, `nobody answers at ${location.host}`);
    }
    // Its resolution is a second; anything below is no difference.
    const date = Date.parse(response.headers.get("date") ?? "");
    if (!Number.isNaN(date)) ahead_ms = Math.abs(date - Date.now()) > 2000 ? date - Date.now() : 0;
    if (!response.ok) throw new Refusal(response.status, (await response.text()).trim() || response.statusText);
    return response.json();
}

/** An answer about a range. */
export const ask = <T>(path: string, signal?: AbortSignal): Promise<Answer<T>> => get(path, signal) as Promise<Answer<T>>;

/** How the agent is. */
export const askHealth = (): Promise<AgentHealth> => get("health") as Promise<AgentHealth>;
