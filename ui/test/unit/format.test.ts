import assert from "node:assert/strict";
import { test } from "node:test";
import { bytes, change, count, duration, exact, mark, percent, rate, span } from "../../src/format";

test("durations have three digits and the unit that fits", () => {
    const said = [0, 742e3, 999.6e3, 1.84e9, 46e6, 212e6, 150e9, 3 * 3600e9].map(duration);
    assert.deepEqual(said, ["0 ns", "742 µs", "1.00 ms", "1.84 s", "46.0 ms", "212 ms", "2.50 min", "3.00 h"]);
    assert.equal(duration(null), "–");
    assert.equal(duration(undefined), "–");
});

test("rates below one a second are told by the minute or hour, not as zero", () => {
    assert.deepEqual([0, 0.001, 0.05, 0.32, 117, 2400, 24_000].map(rate), ["0/s", "4/h", "3.0/min", "0.32/s", "117/s", "2400/s", "24.0k/s"]);
});

test("what is not nothing never reads as nothing", () => {
    assert.deepEqual([0, 0.00001, 0.0032, 0.012, 0.5, 1].map(percent), ["0%", "<0.01%", "0.32%", "1.2%", "50%", "100%"]);
});

test("bytes and counts", () => {
    assert.deepEqual([0, 999, 1000, 88e6].map(bytes), ["0 B", "999 B", "1.00 kB", "88.0 MB"]);
    assert.deepEqual([7, 9994, 12_345, 1.2e6].map(count), ["7", "9994", "12.3k", "1.20M"]);
    assert.equal(exact(1234567), "1\u202f234\u202f567");
});

test("marks of an axis have no zeros that say nothing", () => {
    assert.deepEqual(
        [0, 1e9, 1.5e9, 100e6, 10e6].map((ns) => mark(duration, ns)),
        ["0", "1 s", "1.5 s", "100 ms", "10 ms"],
    );
});

test("changes and ages", () => {
    assert.equal(change(103, 100), "+3% vs before");
    assert.equal(change(3, 100), "−97% vs before");
    assert.equal(change(5, 0), undefined);
    assert.deepEqual([8, 240, 9000, 300_000].map(span), ["8 s", "4 min", "2.5 h", "3 days"]);
});
