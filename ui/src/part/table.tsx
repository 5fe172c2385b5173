// Tables. The agent sorts, since it may have more rows than are shown; a click on a heading asks it to.

import type { ComponentChildren } from "preact";
import { change, text } from "../state/place";

export interface Column<Row> {
    title: string;
    /** What the agent calls it as a `sort`, if it can. */
    sort?: string;
    numeric?: boolean;
    /** `client` or `server`: whose number it is. */
    tone?: string;
    cell: (row: Row) => ComponentChildren;
}

interface Properties<Row> {
    caption: string;
    columns: Column<Row>[];
    rows: readonly Row[];
    id: (row: Row) => string;
    /** What it is sorted by if nobody has said so; without, nobody can. */
    sorted?: string;
    onOpen?: (row: Row) => void;
    chosen?: (row: Row) => boolean;
}

/** The parameters of a question for what is sorted by now. */
export const sorting = (usual: string): { sort: string; ascending: boolean } => ({ sort: text("sort") || usual, ascending: text("asc") === "1" });

export function Table<Row>({ caption, columns, rows, id, sorted, onOpen, chosen }: Properties<Row>) {
    const by = sorted === undefined ? null : sorting(sorted);
    const arrange = (key: string): void => {
        const same = by?.sort === key;
        // Names begin with a, numbers with the largest.
        const ascending = same ? !by.ascending : key === "name";
        change({ sort: key === sorted ? undefined : key, asc: ascending });
    };
    return (
        <div class="scroll" tabIndex={0} role="region" aria-label={caption}>
            <table class={onOpen ? "opens" : undefined}>
                <caption class="unseen">{caption}</caption>
                <thead>
                    <tr>
                        {columns.map(({ title, sort, numeric, tone }) => {
                            const active = by !== null && sort === by.sort;
                            const direction = active ? (by.ascending ? "ascending" : "descending") : undefined;
                            return (
                                <th scope="col" key={title} class={`${numeric ? "num" : ""} ${tone ?? ""}`} aria-sort={direction}>
                                    {sort !== undefined && by !== null ? (
                                        <button type="button" class="sort" onClick={() => arrange(sort)}>
                                            {title}
                                            <span aria-hidden="true">{active ? (by.ascending ? " ↑" : " ↓") : ""}</span>
                                        </button>
                                    ) : (
                                        title
                                    )}
                                </th>
                            );
                        })}
                    </tr>
                </thead>
                <tbody>
                    {rows.map((row) => (
                        <tr
                            key={id(row)}
                            class={chosen?.(row) ? "chosen" : undefined}
                            onClick={
                                onOpen &&
                                ((event) => {
                                    // A link in the row goes where it says; text can be marked.
                                    if ((event.target as Element).closest("a,button") === null && getSelection()?.isCollapsed !== false) onOpen(row);
                                })
                            }
                        >
                            {columns.map(({ title, numeric, cell }) => (
                                <td key={title} class={numeric ? "num" : undefined}>
                                    {cell(row)}
                                </td>
                            ))}
                        </tr>
                    ))}
                </tbody>
            </table>
        </div>
    );
}

/** `showing 60 of 214`, if it does not show all. */
export const Shown = ({
    shown,
    total,
    what,
    how = "a filter or another order shows the others",
}: {
    shown: number;
    total: number;
    what: string;
    how?: string;
}) =>
    shown < total ? (
        <p class="shown">
            showing {shown} of {total} {what}; {how}
        </p>
    ) : null;
