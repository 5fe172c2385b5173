// What follows from the kernel's books.

import type { Books, BooksBySide, BySide, Signals } from "./types";

/** What the preferred side tells. */
export const shown = (sides: BySide): Signals | undefined => sides.server ?? sides.client ?? sides.network;

/** The client's books if it is watched, since failed connects are in these only. */
export const shownBooks = (sides: BooksBySide): Books | undefined => sides.client ?? sides.server;

export const bytesOf = (books: Books | undefined): number => (books ? books.bytes_to_server + books.bytes_to_client : 0);

/** Who hung up while connecting (`abandoned`) did not fail. */
export const failedConnects = (books: Books): number => books.refused + books.connect_timed_out + books.unreachable + books.failed_otherwise;

/** Share of sent segments that had to be sent again, 0 to 1. */
export function retransmitRatio(books: Books): number {
    const sent = books.segments_to_server + books.segments_to_client;
    return sent > 0 ? books.retransmitted_segments / sent : 0;
}

/** Failed connects by cause, in words, those that happened. */
export const causes = (books: Books): [cause: string, count: number][] =>
    (
        [
            ["refused", books.refused],
            ["timed out", books.connect_timed_out],
            ["unreachable", books.unreachable],
            ["another error", books.failed_otherwise],
            ["given up by the client", books.abandoned],
        ] as [string, number][]
    ).filter(([, count]) => count > 0);
