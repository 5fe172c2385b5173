// What stands above every page: whose, which filter, which time.

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { isYouth } from "../api/meta";
import type { Entities } from "../api/types";
import { clockShort, day, span } from "../format";
import { frozenLink, help, live } from "../keys";
import { copied } from "../part/copy";
import { Icon } from "../part/icons";
import { health, newest, now, refused, useAnswer } from "../state/live";
import { change, link, oneOf, place, range, text } from "../state/place";
import { CHOICES, fixed, following } from "../state/range";
import { theme, toggle } from "../state/theme";

export function Bar() {
    return (
        <header class="topbar">
            <Scope />
            <Filter />
            <span class="space" />
            {health.value?.insecure && (
                <a class="badge failing insecure" href="#/agent" title="Anyone who reaches this address can read it">
                    ! insecure
                </a>
            )}
            {health.value?.store_trouble && (
                <a class="badge degraded" href={link("agent")} title={health.value.store_trouble}>
                    ! store in trouble
                </a>
            )}
            {place.value.page === "map" && <LayerSwitch />}
            <RangeMenu />
            <Live />
            <CopyLink />
            <button type="button" class="plain" aria-label={`Theme: ${theme.value}. Change it`} title="Light or dark (t)" onClick={toggle}>
                <Icon name="theme" />
            </button>
            <button type="button" class="plain" aria-label="Keys" title="Keys (?)" onClick={() => (help.value = true)}>
                <Icon name="help" />
            </button>
        </header>
    );
}

/** The namespace. On a host without any there is nothing to choose. */
function Scope() {
    const { answer } = useAnswer<Entities>("entities", { text: "", limit: 1000 });
    const names = [...new Set((answer?.data.entities ?? []).map(({ namespace }) => namespace))].filter((name) => name !== "").sort();
    const chosen = text("ns");
    // Of one service, and of the agent, there is nothing to choose from.
    const alone = place.value.page === "service" || place.value.page === "agent";
    if (alone || (names.length === 0 && chosen === "")) return <b class="scope">this host</b>;
    return (
        <label class="scope">
            <span class="unseen">Namespace</span>
            <select value={chosen} onChange={(event) => change({ ns: event.currentTarget.value })}>
                <option value="">all namespaces</option>
                {[...new Set([...names, ...(chosen === "" ? [] : [chosen])])].map((name) => (
                    <option key={name} value={name}>
                        {name}
                    </option>
                ))}
            </select>
        </label>
    );
}

function Filter() {
    const field = useRef<HTMLInputElement>(null);
    const known = text("q");
    useEffect(() => {
        if (field.current && field.current !== document.activeElement) field.current.value = known;
    }, [known]);
    const timer = useRef(0);
    const typed = (value: string): void => {
        clearTimeout(timer.current);
        timer.current = window.setTimeout(() => change({ q: value.trim() }, false), 200);
    };
    return (
        <label class="filter">
            <Icon name="search" />
            <span class="unseen">Filter by name</span>
            <input
                id="filter"
                ref={field}
                type="search"
                placeholder="Filter services, operations, ports…"
                defaultValue={known}
                spellcheck={false}
                autoComplete="off"
                onInput={(event) => typed(event.currentTarget.value)}
            />
            <kbd aria-hidden="true">/</kbd>
        </label>
    );
}

function LayerSwitch() {
    const layer = oneOf("layer", ["l7", "l4"]);
    return (
        <div class="switch" role="group" aria-label="What the map shows">
            <button type="button" aria-pressed={layer === "l7"} onClick={() => change({ layer: undefined })}>
                L7 requests
            </button>
            <button type="button" aria-pressed={layer === "l4"} onClick={() => change({ layer: "l4" })}>
                L4 bytes
            </button>
        </div>
    );
}

const words = (): string => {
    const at = range.value;
    if (at.live) return CHOICES.find(([last]) => last === at.last)?.[1] ?? `Last ${at.last}`;
    const { from_ms, to_ms } = at.range;
    const to = new Date(from_ms).toDateString() === new Date(to_ms).toDateString() ? clockShort(to_ms) : day(to_ms);
    return `${new Date(from_ms).toDateString() === new Date().toDateString() ? clockShort(from_ms) : day(from_ms)} – ${to}`;
};

/** A young agent knows of less than the range: that is told, and is nothing to be alarmed at. */
function Since() {
    const meta = newest.value;
    const young = meta?.missing.find((part) => isYouth(part, meta));
    return young ? (
        <span class="dim since" title={`Nothing is known of before: ${young.why}.`}>
            since {clockShort(young.range.to_ms)}
        </span>
    ) : null;
}

/** As a field for local times wants it. */
const local = (ms: number): string => day(ms).replace(" ", "T");

function RangeMenu() {
    const [open, setOpen] = useState(false);
    const host = useRef<HTMLDivElement>(null);
    // As it is drawn, and not some time after: what is pressed once it is gone is for what lies below.
    useLayoutEffect(() => {
        if (!open) return;
        const away = (event: Event): void => {
            if (!host.current?.contains(event.target as Node | null)) setOpen(false);
        };
        const escape = (event: KeyboardEvent): void => {
            if (event.key !== "Escape") return;
            // It closes this menu, and not what lies below it.
            event.stopImmediatePropagation();
            setOpen(false);
            host.current?.querySelector("button")?.focus();
        };
        addEventListener("pointerdown", away);
        addEventListener("keydown", escape, true);
        return () => {
            removeEventListener("pointerdown", away);
            removeEventListener("keydown", escape, true);
        };
    }, [open]);
    const at = range.value;
    const shown = at.live ? { from_ms: now.value - at.ms, to_ms: now.value } : at.range;
    const [from, to] = [useRef<HTMLInputElement>(null), useRef<HTMLInputElement>(null)];
    const apply = (event: Event): void => {
        event.preventDefault();
        const [from_ms, to_ms] = [from, to].map((field) => new Date(field.current?.value ?? "").getTime()) as [number, number];
        if (!(from_ms < to_ms)) return;
        change(fixed({ from_ms, to_ms }));
        setOpen(false);
    };
    return (
        <div class="menu" ref={host}>
            <button type="button" class="boxed" aria-expanded={open} onClick={() => setOpen(!open)}>
                {words()} <Since /> <span aria-hidden="true">▾</span>
            </button>
            {open && (
                <div class="drop" role="group" aria-label="Range">
                    {CHOICES.map(([last, title]) => (
                        <button
                            type="button"
                            key={last}
                            aria-pressed={at.live && at.last === last}
                            onClick={() => {
                                change(following(last));
                                setOpen(false);
                            }}
                        >
                            {title}
                        </button>
                    ))}
                    <form onSubmit={apply}>
                        <label>
                            From <input ref={from} type="datetime-local" defaultValue={local(shown.from_ms)} />
                        </label>
                        <label>
                            To <input ref={to} type="datetime-local" defaultValue={local(shown.to_ms)} />
                        </label>
                        <button type="submit">Show</button>
                    </form>
                </div>
            )}
        </div>
    );
}

/** Whether it follows, and how old what is shown is. */
function Live() {
    const at = range.value;
    const age = newest.value?.newest_ms == null ? null : (now.value - newest.value.newest_ms) / 1000;
    const silent = refused.value !== null && refused.value.status === 0;
    return (
        <button
            type="button"
            class={`boxed live${at.live && !silent ? " on" : ""}`}
            aria-pressed={at.live}
            title={at.live ? "Asked again every ten seconds. Stop here (l)" : "Follow again (l)"}
            onClick={live}
        >
            <i aria-hidden="true" />
            {silent ? "No answer" : at.live ? "Live" : "Fixed"}
            <span class="dim age">{age === null ? "" : at.live || silent ? `${span(age)} old` : ""}</span>
        </button>
    );
}

function CopyLink() {
    const [said, setSaid] = useState("");
    const copy = (): void => {
        const done = (words: string): void => {
            setSaid(words);
            setTimeout(() => setSaid(""), 2000);
        };
        const url = frozenLink();
        void copied(url).then((yes) => done(yes ? "Copied: it will show this time" : url));
    };
    return (
        <span class="copylink">
            <button type="button" class="plain" aria-label="Copy a link to what is shown now" title="Copy a link to what is shown now" onClick={copy}>
                <Icon name="link" />
            </button>
            <span role="status" class={said === "" ? "unseen" : "toast"}>
                {said}
            </span>
        </span>
    );
}
