// Where one is, as it stands in the URL: `#/service/00ab…?tab=network&last=30m`. After the hash, so that the agent needs no rules for it and
// the page works behind any prefix. Everything that is shown follows from it: back works, a link shows the same.

export const PAGES = ["map", "services", "service", "protocols", "requests", "network", "dns", "agent"] as const;
export type Page = (typeof PAGES)[number];

export interface Place {
    page: Page;
    /** Of the page `service`: whose. */
    id: string;
    query: Readonly<Record<string, string>>;
}

/** What stays when the page changes. */
const KEPT = ["last", "from", "to", "theme", "ns"];

export function parse(hash: string): Place {
    const text = hash.replace(/^#/, "");
    const cut = text.indexOf("?");
    const [, name = "", id = ""] = (cut < 0 ? text : text.slice(0, cut)).split("/");
    const page = PAGES.find((known) => known === name) ?? "map";
    const query: Record<string, string> = {};
    if (cut >= 0) for (const [key, value] of new URLSearchParams(text.slice(cut + 1))) query[key] = value;
    if (page === "service" && !/^[0-9a-f]{16}$/.test(id)) return { page: "services", id: "", query };
    return { page, id: page === "service" ? id : "", query };
}

export function write(place: Place): string {
    const query = new URLSearchParams();
    for (const key of Object.keys(place.query).sort()) {
        const value = place.query[key];
        if (value !== undefined && value !== "") query.set(key, value);
    }
    const text = query.toString();
    return `#/${place.page}${place.id === "" ? "" : `/${place.id}`}${text === "" ? "" : `?${text}`}`;
}

export type Changes = Readonly<Record<string, string | number | boolean | undefined>>;

/** The same place with some of its query changed; `undefined`, `""` and `false` take a parameter away. */
export function changed(place: Place, changes: Changes): Place {
    const query = { ...place.query };
    for (const [key, value] of Object.entries(changes)) {
        if (value === undefined || value === "" || value === false) delete query[key];
        else query[key] = value === true ? "1" : String(value);
    }
    return { ...place, query };
}

/** Another page, at the same time, in the same theme. */
export function other(place: Place, page: Page, id = "", changes: Changes = {}): Place {
    const query: Record<string, string> = {};
    for (const key of KEPT) {
        const value = place.query[key];
        if (value !== undefined) query[key] = value;
    }
    return changed({ page, id, query }, changes);
}
