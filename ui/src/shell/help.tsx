// The list of keys.

import { useEffect, useRef } from "preact/hooks";
import { KEYS, help } from "../keys";

export function Help() {
    const dialog = useRef<HTMLDialogElement>(null);
    const open = help.value;
    useEffect(() => {
        if (open) dialog.current?.showModal();
        else dialog.current?.close();
    }, [open]);
    return (
        <dialog
            ref={dialog}
            aria-labelledby="keys"
            onClose={() => (help.value = false)}
            onClick={(event) => event.target === dialog.current && (help.value = false)}
        >
            <h2 id="keys">Keys</h2>
            <dl class="keys">
                {KEYS.map(([keys, what]) => (
                    <div key={keys}>
                        <dt>
                            {keys.split(" ").map((key) => (
                                <kbd key={key}>{key}</kbd>
                            ))}
                        </dt>
                        <dd>{what}</dd>
                    </div>
                ))}
            </dl>
            <p class="dim">On the map: arrows move, + and − zoom, 0 fits. On a chart: drag for a range; on a heatmap, a box opens its requests.</p>
            <button type="button" onClick={() => (help.value = false)}>
                Close
            </button>
        </dialog>
    );
}
