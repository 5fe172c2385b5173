// The pages.

import { Icon, type IconName } from "../part/icons";
import { link, place } from "../state/place";
import type { Page } from "../state/url";

const ITEMS: [page: Page, title: string, icon: IconName][] = [
    ["map", "Map", "map"],
    ["services", "Services", "services"],
    ["protocols", "Protocols", "protocols"],
    ["requests", "Requests", "requests"],
    ["network", "Network", "network"],
    ["dns", "DNS", "dns"],
    ["agent", "Agent", "agent"],
];

export function Nav() {
    const { page } = place.value;
    const current = page === "service" ? "services" : page;
    return (
        <nav class="nav" aria-label="Pages">
            <svg class="logo" width="28" height="28" viewBox="0 0 24 24" aria-hidden="true">
                <path d="M2 12h4l2.500-7 5 14 2.500-7h2" />
                <circle cx="20" cy="12" r="2" />
            </svg>
            {ITEMS.map(([name, title, icon]) => (
                <a key={name} href={link(name)} aria-current={name === current ? "page" : undefined}>
                    <Icon name={icon} size={18} />
                    {title}
                </a>
            ))}
        </nav>
    );
}
