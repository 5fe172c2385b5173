// Numbers as people read them: three significant digits at most, the unit beside them.

const DASH = "–";

function digits(value: number): string {
    const places = value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
    return value.toFixed(places);
}

/** `2.4k`, `857`, `0.32`. */
export function count(value: number): string {
    if (value >= 999_500_000) return `${digits(value / 1e9)}G`;
    if (value >= 999_500) return `${digits(value / 1e6)}M`;
    if (value >= 9_995) return `${digits(value / 1e3)}k`;
    return Number.isInteger(value) ? String(value) : value >= 1000 ? value.toFixed(0) : digits(value);
}

/** All its digits: `12 345`. */
export const exact = (value: number): string => Math.round(value).toLocaleString("en").replaceAll(",", "\u202f");

/** `117/s`; what is less than one in a minute, in an hour. */
export function rate(perSecond: number | undefined): string {
    if (perSecond === undefined) return DASH;
    if (perSecond === 0) return "0/s";
    if (perSecond >= 9.95) return `${count(Math.round(perSecond))}/s`;
    if (perSecond >= 0.095) return `${perSecond.toFixed(perSecond >= 0.995 ? 1 : 2)}/s`;
    if (perSecond >= 1 / 60) return `${(perSecond * 60).toFixed(1)}/min`;
    return `${(perSecond * 3600).toFixed(0)}/h`;
}

/** Nanoseconds. `742 µs`, `1.84 s`, `2.5 min`. */
export function duration(ns: number | null | undefined): string {
    if (ns === null || ns === undefined) return DASH;
    if (ns < 999.5) return `${Math.round(ns)} ns`;
    if (ns < 999.5e3) return `${digits(ns / 1e3)} µs`;
    if (ns < 999.5e6) return `${digits(ns / 1e6)} ms`;
    if (ns < 119.5e9) return `${digits(ns / 1e9)} s`;
    if (ns < 5400e9) return `${digits(ns / 60e9)} min`;
    return `${digits(ns / 3600e9)} h`;
}

/** `88.0 MB`. */
export function bytes(value: number | undefined): string {
    if (value === undefined) return DASH;
    const units = ["B", "kB", "MB", "GB", "TB", "PB"];
    let unit = 0;
    while (value >= 999.5 && unit < units.length - 1) {
        value /= 1000;
        unit++;
    }
    return `${unit === 0 ? value.toFixed(0) : digits(value)} ${units[unit]}`;
}

/** The same on an axis, where zeros after the point say nothing. */
export const mark = (format: (value: number) => string, value: number): string =>
    value === 0
        ? "0"
        : format(value)
              .replace(/(\.\d*?)0+(?=\D|$)/, "$1")
              .replace(/\.(?=\D|$)/, "");

export const byteRate = (perSecond: number): string => `${bytes(perSecond)}/s`;

/** A share of 0 to 1: `0.32%`. What is not nothing never reads as nothing. */
export function percent(share: number | undefined): string {
    if (share === undefined) return DASH;
    if (share === 0) return "0%";
    if (share < 0.0001) return "<0.01%";
    const value = share * 100;
    return `${value >= 9.95 ? value.toFixed(0) : value >= 0.995 ? value.toFixed(1) : value.toFixed(2)}%`;
}

const two = (value: number): string => String(value).padStart(2, "0");

/** `14:21:08`, of the viewer's clock. */
export function clock(ms: number): string {
    const at = new Date(ms);
    return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** `14:21`. */
export const clockShort = (ms: number): string => clock(ms).slice(0, 5);

/** `2026-11-30 14:21`. */
export function day(ms: number): string {
    const at = new Date(ms);
    return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clockShort(ms)}`;
}

/** `14:21:08.412`, from RFC 3339. */
export function clockExact(rfc3339: string): string {
    const ms = Date.parse(rfc3339);
    return Number.isNaN(ms) ? rfc3339 : `${clock(ms)}.${String(new Date(ms).getMilliseconds()).padStart(3, "0")}`;
}

/** Seconds: `8 s`, `4 min`, `2.5 h`, `3 days`. */
export function span(seconds: number): string {
    if (seconds < 99.5) return `${Math.max(0, Math.round(seconds))} s`;
    if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
    return seconds < 172_800 ? `${(seconds / 3600).toFixed(1)} h` : `${Math.round(seconds / 86_400)} days`;
}

/** How a number has changed: `+3% vs before`; undefined where there is nothing to compare with. */
export function change(now: number, before: number): string | undefined {
    if (!(before > 0)) return undefined;
    const by = now / before - 1;
    return Math.abs(by) >= 9.95 ? `${count(now / before)}× as before` : `${by < 0 ? "−" : "+"}${Math.abs(by * 100).toFixed(0)}% vs before`;
}

const PROTOCOLS: Record<string, string> = {
    http: "HTTP",
    http2: "HTTP/2",
    grpc: "gRPC",
    redis: "Redis",
    mysql: "MySQL",
    postgresql: "PostgreSQL",
    dns: "DNS",
    kafka: "Kafka",
    mongodb: "MongoDB",
    dubbo: "Dubbo",
    nats: "NATS",
    amqp: "AMQP",
    tls: "TLS",
};

export const protocol = (name: string | null): string => (name === null ? "not read" : (PROTOCOLS[name] ?? name));

export const full = (node: { namespace: string; name: string }): string => (node.namespace === "" ? node.name : `${node.namespace}/${node.name}`);

/** `1 edge`, `3 edges`. */
export const many = (n: number, one: string, more = `${one}s`): string => `${n === 1 ? "1" : count(n)} ${n === 1 ? one : more}`;
