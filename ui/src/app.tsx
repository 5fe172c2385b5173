// The frame, and the page in it.

import { useEffect } from "preact/hooks";
import { AgentPage } from "./page/agent";
import { DnsPage } from "./page/dns";
import { MapPage } from "./page/map";
import { NetworkPage } from "./page/network";
import { ProtocolsPage } from "./page/protocols";
import { RequestsPage } from "./page/requests";
import { ServicePage } from "./page/service";
import { ServicesPage } from "./page/services";
import { Bar } from "./shell/bar";
import { Help } from "./shell/help";
import { Nav } from "./shell/nav";
import { place } from "./state/place";
import type { Page } from "./state/url";

const PAGES: Record<Page, { title: string; view: () => preact.JSX.Element }> = {
    map: { title: "Map", view: MapPage },
    services: { title: "Services", view: ServicesPage },
    service: { title: "Service", view: ServicePage },
    protocols: { title: "Protocols", view: ProtocolsPage },
    requests: { title: "Requests", view: RequestsPage },
    network: { title: "Network", view: NetworkPage },
    dns: { title: "DNS", view: DnsPage },
    agent: { title: "Agent", view: AgentPage },
};

export function App() {
    const { page, id } = place.value;
    const { title, view: View } = PAGES[page];
    useEffect(() => {
        document.title = `${title} · steth`;
    }, [title]);
    return (
        <>
            <a
                class="skip"
                href="#main"
                onClick={(event) => {
                    // The hash is the page's address.
                    event.preventDefault();
                    document.getElementById("main")?.focus();
                }}
            >
                Skip to the page
            </a>
            <Nav />
            <Bar />
            <main id="main" tabIndex={-1}>
                <View key={`${page} ${id}`} />
            </main>
            <Help />
        </>
    );
}
