// What a chart shows, as a table: for those who do not see it, and for those who want the numbers.

import { useState } from "preact/hooks";
import { clock, day } from "../format";

export interface Column {
    label: string;
    values: readonly (number | null)[];
    format: (value: number) => string;
}

export function ChartData({ title, times_ms, columns }: { title: string; times_ms: readonly number[]; columns: Column[] }) {
    const [open, setOpen] = useState(false);
    const long = (times_ms.at(-1) ?? 0) - (times_ms[0] ?? 0) > 86_400_000;
    return (
        <details class="data" open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
            <summary aria-label={`Data of ${title}`}>data</summary>
            {open && (
                <div class="scroll" tabIndex={0} role="region" aria-label={`Data of ${title}`}>
                    <table>
                        <thead>
                            <tr>
                                <th scope="col">Time</th>
                                {columns.map(({ label }) => (
                                    <th scope="col" class="num" key={label}>
                                        {label}
                                    </th>
                                ))}
                            </tr>
                        </thead>
                        <tbody>
                            {times_ms.map((at, n) => (
                                <tr key={at}>
                                    <th scope="row">{long ? day(at) : clock(at)}</th>
                                    {columns.map(({ label, values, format }) => (
                                        <td class="num" key={label}>
                                            {values[n] == null ? "–" : format(values[n] as number)}
                                        </td>
                                    ))}
                                </tr>
                            ))}
                        </tbody>
                    </table>
                </div>
            )}
        </details>
    );
}
