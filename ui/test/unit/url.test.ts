import assert from "node:assert/strict";
import { test } from "node:test";
import { asked, fixed, following, length, looking, nearest, shifted } from "../../src/state/range";
import { changed, other, parse, write } from "../../src/state/url";

const ID = "00000000000000ab";

test("every place is written and read back", () => {
    for (const hash of [
        "#/map",
        "#/services?sort=p95",
        `#/service/${ID}?tab=network&theme=dark`,
        "#/requests?max_ms=9.5&min_ms=1.25&operation=GET+%2Fa%3Fb%26c",
        "#/dns?q=%E2%9C%93",
    ]) {
        assert.equal(write(parse(hash)), hash);
    }
});

test("what is no place leads to the map, a service without its id to all", () => {
    for (const hash of ["", "#", "#/", "#/nowhere", "#garbage"]) assert.equal(parse(hash).page, "map");
    assert.equal(parse("#/service/xyz").page, "services");
    assert.equal(parse("#/service").page, "services");
});

test("time and theme stay when the page changes, the rest goes", () => {
    const place = parse("#/map?from=1000&layer=l4&q=cart&sel=x&theme=dark&to=2000");
    assert.equal(write(other(place, "services")), "#/services?from=1000&theme=dark&to=2000");
    assert.equal(write(other(place, "service", ID, { tab: "network" })), `#/service/${ID}?from=1000&tab=network&theme=dark&to=2000`);
});

test("what is set to nothing is not in the URL", () => {
    const place = parse("#/map?q=a&sel=b");
    assert.equal(write(changed(place, { q: "", sel: undefined, dns: true, open: false })), "#/map?dns=1");
});

test("ranges: live by default, fixed where both ends are there, and sane whatever stands there", () => {
    assert.deepEqual(looking(parse("#/map")), { live: true, last: "30m", ms: 1_800_000 });
    assert.deepEqual(asked(looking(parse("#/map?last=6h"))), { last: "6h" });
    assert.deepEqual(asked(looking(parse("#/map?from=1000&to=2000"))), { from: 1000, to: 2000 });
    for (const query of ["from=2000&to=1000", "from=1000", "from=x&to=y", "last=0m", "last=banana", "from=-1&to=5"]) {
        assert.equal(looking(parse(`#/map?${query}`)).live, true, query);
    }
    assert.equal(length("1d"), 86_400_000);
});

test("a drag that is shorter than a second still is a range", () => {
    const { from, to } = fixed({ from_ms: 1400, to_ms: 1600 });
    assert.deepEqual([from, to], [1000, 2000]);
    assert.deepEqual(fixed({ from_ms: 5000, to_ms: 5000 }), { last: undefined, from: 5000, to: 6000 });
});

test("shifting goes by half, and never beyond now", () => {
    const at = looking(parse("#/map?from=100000&to=200000"));
    assert.deepEqual(shifted(at, -1, 1e9), { from_ms: 50_000, to_ms: 150_000 });
    assert.deepEqual(shifted(at, 1, 220_000), { from_ms: 120_000, to_ms: 220_000 });
    assert.deepEqual(shifted(looking(parse("#/map?last=5m")), 1, 1e9), { from_ms: 1e9 - 300_000, to_ms: 1e9 });
});

test("a fixed range that follows again becomes the choice that is nearest", () => {
    assert.equal(nearest(1_700_000), "30m");
    assert.equal(nearest(1), "5m");
    assert.deepEqual(following("30m"), { last: undefined, from: undefined, to: undefined });
});
