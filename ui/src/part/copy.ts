// Into the clipboard.

/** Whether it is there now. Browsers have a clipboard for pages of TLS and of loopback only; the old way works everywhere. */
export async function copied(text: string): Promise<boolean> {
    try {
        await navigator.clipboard.writeText(text);
        return true;
    } catch {
        return byHand(text);
    }
}

function byHand(text: string): boolean {
    const field = document.createElement("textarea");
    const before = document.activeElement as HTMLElement | null;
    field.value = text;
    field.className = "unseen";
    document.body.append(field);
    field.select();
    try {
        return document.execCommand("copy");
    } catch {
        return false;
    } finally {
        field.remove();
        before?.focus();
    }
}
