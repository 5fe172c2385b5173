// Why nothing could be read of what flows at a port.

/** Where TLS is spoken by custom (IANA, Kubernetes). Which bytes it was is not known to the page: only that no parser took them for its own. */
const TLS = new Set([443, 465, 563, 636, 853, 989, 990, 992, 993, 994, 995, 3269, 5061, 5671, 6443, 6514, 8443, 8883, 9443, 10_250]);

export const usuallyTls = (port: number): boolean => TLS.has(port);

/** A sentence about these ports. */
export function whyUnread(ports: readonly number[]): string {
    const tls = ports.filter(usuallyTls);
    const other = ports.filter((port) => !usuallyTls(port));
    const at = (some: readonly number[]): string => `port${some.length === 1 ? "" : "s"} ${some.join(", ")}`;
    const said = [
        tls.length > 0
            ? `By custom, ${at(tls)} carr${tls.length === 1 ? "ies" : "y"} TLS, which is encrypted inside the process, before this agent sees it.`
            : "",
        other.length > 0 ? `What flows at ${at(other)} is encrypted (TLS), or of a protocol that no parser here knows.` : "",
    ].filter((sentence) => sentence !== "");
    return said.length > 0 ? said.join(" ") : "It is encrypted (TLS), or of a protocol that no parser here knows.";
}
