// The page's view of the contract is written by hand: it has the fields that the document has, no more and no less.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

interface Schema {
    properties?: Record<string, unknown>;
    allOf?: Schema[];
    $ref?: string;
}

const document = JSON.parse(readFileSync("../docs/openapi.json", "utf8")) as { components: { schemas: Record<string, Schema> } };
const { schemas } = document.components;

/** Names that mean something else in TypeScript. */
const NAMES: Record<string, string> = { Topology: "Map", Ledger: "OfLedger" };

function fields(schema: Schema): string[] {
    if (schema.$ref) return fields(schemas[schema.$ref.split("/").at(-1) as string] ?? {});
    return [...Object.keys(schema.properties ?? {}), ...(schema.allOf ?? []).flatMap(fields)].sort();
}

/** The interfaces of types.ts whose name the document has. */
function interfaces(): Map<string, string[]> {
    const source = readFileSync("src/api/types.ts", "utf8");
    const found = new Map<string, string[]>();
    for (const [, name = "", body = ""] of source.matchAll(/export interface (\w+)(?:<\w+>)? \{\n(.*?)\n\}/gs)) {
        const own = body.split("\n").flatMap((line) => /^ {4}(\w+)\??: /.exec(line)?.[1] ?? []);
        found.set(NAMES[name] ?? name, own.sort());
    }
    return found;
}

const ours = interfaces();

const SAME = [
    ["Meta", "Missing", "Folded", "Quantiles", "Signals", "BySide", "Books", "BooksBySide", "Map", "Node", "Health", "Finding", "Edge"],
    ["Series", "Line", "ExchangePoints", "BookPoints", "Top", "Service", "Operation", "Heatmap", "Requests", "Request"],
    ["Entity", "Process", "Entities", "Named", "Dns", "Code", "Question", "AgentHealth", "Hook", "Counter", "OfLedger"],
].flat();

for (const name of SAME) {
    test(`${name} has the fields of the document`, () => {
        const theirs = fields(schemas[name] ?? {});
        assert.ok(theirs.length > 0, "the document does not have it");
        assert.deepEqual(ours.get(name), theirs);
    });
}
