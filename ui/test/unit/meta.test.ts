import assert from "node:assert/strict";
import { test } from "node:test";
import { isYouth, knownCurve, knownSeconds } from "../../src/api/meta";
import type { Meta, Missing } from "../../src/api/types";
import { curvePath } from "../../src/chart/curve";
import { usuallyTls, whyUnread } from "../../src/part/unread";

const meta = (missing: Missing[], to_ms = 100_000): Meta => ({
    range: { from_ms: 0, to_ms },
    tier: "10s",
    step_ms: 20_000,
    newest_ms: to_ms,
    started_ms: null,
    complete: missing.length === 0,
    missing,
    folded: { operations: 0, rows: 0, edges: 0, misdated: 0 },
});
const gap = (from_ms: number, to_ms: number, why = "the agent did not run"): Missing => ({ range: { from_ms, to_ms }, why });

test("a step of which nothing is known is a gap of the curve, and not zero", () => {
    assert.deepEqual(knownCurve([0, 0, 3, 0, 5], meta([gap(0, 40_000)])), [null, null, 3, 0, 5]);
    assert.deepEqual(knownCurve([1, 2, 3, 0, 5], meta([gap(60_000, 80_000)])), [1, 2, 3, null, 5]);
    // Of a step that is missing in part something is known.
    assert.deepEqual(knownCurve([1, 2, 3, 4, 5], meta([gap(0, 30_000)])), [null, 2, 3, 4, 5]);
    // The last step ends with the range.
    assert.deepEqual(knownCurve([1, 2, 3, 4, 0], meta([gap(80_000, 90_000)], 90_000)), [1, 2, 3, 4, null]);
    assert.equal(knownCurve(undefined, meta([])), undefined);
});

test("rates are taken over the time of which something is known", () => {
    assert.equal(knownSeconds(meta([gap(0, 40_000)])), 60);
    assert.equal(knownSeconds(meta([])), 100);
});

test("before it began an agent has lost nothing", () => {
    const young = { ...meta([]), started_ms: 40_000 };
    assert.ok(isYouth(gap(0, 40_000), young));
    assert.ok(!isYouth(gap(0, 50_000), young));
    assert.ok(!isYouth(gap(60_000, 70_000), young));
    assert.ok(!isYouth(gap(0, 40_000), meta([])), "older windows had to go");
});

test("a curve fills its width from the first value that is known, and is broken where there is a gap", () => {
    assert.equal(curvePath([null, null, 0, 10], 80, 20), "M0.0 18.5L80.0 1.5");
    assert.equal(curvePath([5, null, 10, 10], 90, 20), "M0.0 10.0h0M60.0 1.5L90.0 1.5");
    assert.equal(curvePath([null, 5], 80, 20), "");
    assert.equal(curvePath([], 80, 20), "");
    assert.equal(curvePath([0, 0], 80, 20), "M0.0 18.5L80.0 18.5");
});

test("why nothing was read of a port: what is custom is not said to be known", () => {
    assert.ok(usuallyTls(443) && usuallyTls(6443) && !usuallyTls(80));
    assert.match(whyUnread([443]), /^By custom, port 443 carries TLS, which /);
    assert.match(whyUnread([9000]), /^What flows at port 9000 is encrypted \(TLS\), or of a protocol/);
    assert.match(whyUnread([443, 8443, 9000]), /ports 443, 8443 carry TLS.* at port 9000 /);
    assert.match(whyUnread([]), /^It is encrypted/);
});
