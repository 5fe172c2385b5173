// The answers of the agent, as crates/query/src/tell.rs writes them. A test compares the names of fields with docs/openapi.json.

export interface Range {
    from_ms: number;
    to_ms: number;
}
export type Tier = "10s" | "1m" | "10m";
export type SideName = "client" | "server" | "network";
export type State = "idle" | "healthy" | "degraded" | "failing";
export type NodeKind = "service" | "dns" | "database" | "external" | "other";

export interface Answer<T> {
    meta: Meta;
    data: T;
}

export interface Meta {
    range: Range;
    tier: Tier;
    step_ms: number;
    newest_ms: number | null;
    /** When the agent began; what is before was never there. `null` if older windows had to go. */
    started_ms: number | null;
    complete: boolean;
    missing: Missing[];
    folded: Folded;
}

export interface Missing {
    range: Range;
    why: string;
}
export interface Folded {
    operations: number;
    rows: number;
    edges: number;
    misdated: number;
}

/** Nanoseconds. */
export interface Quantiles {
    count: number;
    mean_ns: number;
    p50_ns: number;
    p95_ns: number;
    p99_ns: number;
    max_ns: number;
}

/** Exchanges of one side. */
export interface Signals {
    count: number;
    rate: number;
    errors: number;
    error_ratio: number;
    slow: number;
    blocking: number;
    request_bytes: number;
    response_bytes: number;
    time_ns: number;
    duration: Quantiles | null;
    queue?: Quantiles;
    service?: Quantiles;
}

/** The sides tell of the same exchanges; they are never summed. */
export interface BySide {
    preferred: SideName | null;
    client?: Signals;
    server?: Signals;
    network?: Signals;
}

/** What one end's kernel says of connections. */
export interface Books {
    open: number;
    opened: number;
    closed: number;
    bytes_to_server: number;
    bytes_to_client: number;
    segments_to_server: number;
    segments_to_client: number;
    retransmitted_segments: number;
    retransmitted_bytes: number;
    lost_segments: number;
    reordered: number;
    duplicate_segments: number;
    busy_us: number;
    receive_window_us: number;
    send_buffer_us: number;
    refused: number;
    connect_timed_out: number;
    unreachable: number;
    abandoned: number;
    failed_otherwise: number;
    resets_by_client: number;
    resets_by_server: number;
    timed_out: number;
    rtt: Quantiles | null;
    rtt_min_ns: number | null;
    connect: Quantiles | null;
    accept_wait: Quantiles | null;
}

export interface BooksBySide {
    preferred: SideName | null;
    client?: Books;
    server?: Books;
}

export interface Topology {
    nodes_total: number;
    nodes: Node[];
    edges_total: number;
    edges: Edge[];
}

export interface Node {
    id: string;
    name: string;
    namespace: string;
    kind: NodeKind;
    protocols: string[];
    ports: number[];
    listening: number[];
    queues: Queue[];
    answers: BySide;
    asks: BySide;
    health: Health;
}

/** What waits for accept() at a port that is listened on. */
export interface Queue {
    port: number;
    waiting: number;
    room: number;
    dropped: number;
}

export interface Health {
    state: State;
    findings: Finding[];
}
export interface Finding {
    about: string;
    state: State;
    sentence: string;
    detail: string;
}

export interface Edge {
    client: string;
    client_name: string;
    server: string;
    server_name: string;
    port: number;
    protocol: string | null;
    transport: string | null;
    guessed: boolean;
    signals: BySide;
    books: BooksBySide;
    state: State;
    curve?: number[];
}

export interface Series {
    times_ms: number[];
    total: number;
    series: Line[];
}
export interface Line {
    name: string;
    id?: string;
    side: SideName;
    exchanges?: ExchangePoints;
    books?: BookPoints;
}

type Times = (number | null)[];

export interface ExchangePoints {
    count: number[];
    errors: number[];
    slow: number[];
    request_bytes: number[];
    response_bytes: number[];
    p50_ns: Times;
    p95_ns: Times;
    p99_ns: Times;
    queue_p95_ns: Times;
    service_p95_ns: Times;
}

export interface BookPoints {
    open: number[];
    opened: number[];
    failed_connects: number[];
    resets: number[];
    bytes_to_server: number[];
    bytes_to_client: number[];
    segments: number[];
    retransmitted_segments: number[];
    rtt_p50_ns: Times;
    rtt_p95_ns: Times;
    connect_p95_ns: Times;
}

export interface Top {
    total: number;
    services?: Service[];
    edges?: Edge[];
    operations?: Operation[];
}
export interface Service {
    node: Node;
    bytes: number;
    curve?: number[];
}

export interface Operation {
    server: string;
    server_name: string;
    protocol: string;
    operation: string;
    summary?: string;
    namespace: string;
    signals: BySide;
    share: number;
    curve?: number[];
}

export interface Heatmap {
    side: SideName | null;
    times_ms: number[];
    bounds_ns: number[];
    floor_ns: number;
    columns: [row: number, count: number][][];
    p50_ns: Times;
    p99_ns: Times;
}

export interface Requests {
    matching: number;
    requests: Request[];
}
export interface Request {
    why: string[];
    instants: Instants;
    exchange: Exchange;
    tcp?: Record<string, unknown>;
}

/** RFC 3339; `null` is not known. */
export interface Instants {
    arrival: string | null;
    start: string | null;
    request_end: string | null;
    first_byte: string | null;
    end: string | null;
}

export interface End {
    ip: string | null;
    port: number | null;
    pid?: number | null;
    process?: string | null;
    service?: string | null;
    name?: string | null;
    container?: unknown;
}

/** A line of `steth watch --json`. */
export interface Exchange {
    time: string;
    protocol: string;
    side: SideName;
    client: End;
    server: End;
    operation: string;
    status: string | number | null;
    error: boolean;
    outcome: string;
    duration_ns: number;
    first_byte_ns: number | null;
    queue_ns: number | null;
    service_ns: number | null;
    accept_wait_ns: number | null;
    request_bytes: number;
    response_bytes: number;
    connection: number;
    request_seq: number;
    response_seq: number;
    blocking?: boolean;
    attributes: Record<string, unknown>;
}

export interface Entity {
    node: Node;
    seen: Range;
    callers_total: number;
    callers: Edge[];
    dependencies_total: number;
    dependencies: Edge[];
    answering: Books | null;
    asking: Books | null;
    processes_total: number;
    processes: Process[];
    before: BySide;
}

export interface Process {
    pid: number;
    name: string;
    executable: string;
    unit: string;
    container: string;
    container_name: string;
    image: string;
    pod: string;
    listening: number[];
    started_ms: number | null;
}

export interface Entities {
    total: number;
    entities: Named[];
}
export interface Named {
    id: string;
    name: string;
    namespace: string;
    kind: NodeKind;
    seen: Range;
}

export interface Dns {
    signals: BySide;
    codes: Code[];
    total: number;
    questions: Question[];
    resolvers_total: number;
    resolvers: Edge[];
}
export interface Code {
    code: string;
    count: number;
}
export interface Question {
    operation: string;
    signals: Signals | null;
    codes: Code[];
}

/** `/api/v1/health`, which is no answer about a range. */
export interface AgentHealth {
    status: string;
    version: string;
    kernel: string;
    uptime_seconds: number;
    hooks: Hook[];
    capabilities: string[];
    cpu: { user_seconds: number; system_seconds: number; bpf_seconds: number | null; percent: number };
    memory_bytes: number;
    exchanges: Record<string, Ledger>;
    counters: Counter[];
    ledger: Ledger;
    reasons: Record<string, string>;
    insecure?: boolean;
    /** Why windows cannot be written for the time being; they are in memory. */
    store_trouble?: string | null;
}

export interface Hook {
    name: string;
    attached: boolean;
    note: string;
}
export interface Ledger {
    reported: number;
    lost: number;
    lost_by: Record<string, number>;
}
export interface Counter {
    name: string;
    help: string;
    kind: "counter" | "gauge";
    labels: [string, string][];
    value: number;
}
