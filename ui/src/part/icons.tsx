// Small drawings. They say nothing that is not also said in words: screen readers skip them.

const PATHS = {
    map: "M5 3a2 2 0 100 4 2 2 0 000-4zM19 5a2 2 0 100 4 2 2 0 000-4zM12 17a2 2 0 100 4 2 2 0 000-4zM7 5.300l10 1.400M6 7l5 10M18 9l-5 8",
    services: "M4 6h16M4 12h16M4 18h10",
    protocols: "M4 7h9M4 12h16M4 17h6M17 4v6M13 17h7",
    requests: "M12 7v5l3 2M12 4a8 8 0 100 16 8 8 0 000-16z",
    network: "M3 12h4l3-7 4 14 3-7h4",
    dns: "M12 4a8 8 0 100 16 8 8 0 000-16zM4 12h16M12 4c3 3 3 13 0 16M12 4c-3 3-3 13 0 16",
    agent: "M5 5h14v6H5zM5 13h14v6H5zM8 8h.01M8 16h.01",
    search: "M11 5a6 6 0 100 12 6 6 0 000-12zM15.5 15.5L20 20",
    theme: "M12 4a8 8 0 100 16zM12 4a8 8 0 010 16",
    help: "M12 3a9 9 0 100 18 9 9 0 000-18zM9.500 9.500a2.500 2.500 0 115 0c0 1.800-2.500 2-2.500 4M12 17h.01",
    link: "M10 14a4 4 0 005.7 0l3-3a4 4 0 00-5.7-5.7l-1 1M14 10a4 4 0 00-5.7 0l-3 3a4 4 0 005.7 5.7l1-1",
    close: "M6 6l12 12M18 6L6 18",
    copy: "M9 9h10v10H9zM15 9V5H5v10h4",
    service: "M12 4l7 4v8l-7 4-7-4V8z",
    database: "M5 7c0-4 14-4 14 0v10c0 4-14 4-14 0zM5 7c0 4 14 4 14 0",
    cache: "M13 3L5 14h6l-1 7 8-11h-6z",
    external: "M7 18a4 4 0 01-.5-8A6 6 0 0118 9a4.500 4.500 0 010 9z",
    group: "M4 8l8-4 8 4-8 4zM4 12l8 4 8-4M4 16l8 4 8-4",
    other: "M5 12h.01M12 12h.01M19 12h.01",
    warn: "M12 7v6M12 16.500v.01",
} as const;

export type IconName = keyof typeof PATHS;

export const iconPath = (name: IconName): string => PATHS[name];

export const Icon = ({ name, size = 16 }: { name: IconName; size?: number }) => (
    <svg class="icon" width={size} height={size} viewBox="0 0 24 24" aria-hidden="true">
        <path d={PATHS[name]} />
    </svg>
);
