//! What a digest costs: `cargo run --release -p steth-wire --example sql`.

use std::hint::black_box;
use std::time::Instant;
use steth_wire::sql::{Dialect, statements as statements_of};
use steth_wire::{Names, Statements};

fn main() {
    let ids: Vec<String> = (0..200).map(|n| (n * 7919).to_string()).collect();
    let rows: Vec<String> = (0..100).map(|n| format!("({n}, 'name {n}', NULL)")).collect();
    let texts = [
        (
            "point select",
            "SELECT id, name, price FROM products WHERE category = 'books' AND price < 9.99 LIMIT 10".to_owned(),
        ),
        (
            "100 bytes, joined",
            "SELECT o.id, c.name FROM orders o JOIN customers c ON o.customer_id = c.id WHERE o.id = 123456 LIMIT 1"
                .to_owned(),
        ),
        ("pgbench update", "UPDATE pgbench_accounts SET abalance = abalance + -1234 WHERE aid = 56789;".to_owned()),
        ("list of 200", format!("SELECT * FROM t WHERE id IN ({})", ids.join(", "))),
        ("insert of 100 rows", format!("INSERT INTO t (a, b, c) VALUES {}", rows.join(", "))),
        (
            "escaped quote",
            r"INSERT INTO people (name, town) VALUES ('O\'Brien', 'Cork') /* and 40 bytes of comment */".to_owned(),
        ),
    ];
    for (what, text) in &texts {
        let (mut names, mut statements) = (Names::default(), Statements::default());
        let known = time(|_| {
            black_box(statements.digest(black_box(text.as_bytes()), true, Dialect::Mysql, &mut names));
        });
        // A comment that is another each time, as tracing libraries write: never found.
        let mut new = format!("{text} /*00000000*/").into_bytes();
        let at = new.len() - 10;
        let unknown = time(|n| {
            for (place, byte) in new[at..at + 8].iter_mut().enumerate() {
                *byte = b'a' + (n >> (4 * place) & 15) as u8;
            }
            black_box(statements.digest(black_box(&new), true, Dialect::Mysql, &mut names));
        });
        let split = time(|_| {
            black_box(statements_of(black_box(text.as_bytes()), Dialect::Postgresql).count());
        });
        println!("{what:20} {:5} B   known {known:7.0} ns   new {unknown:7.0} ns   split {split:7.0} ns", text.len());
    }
}

/// Nanoseconds each: the best of several rounds, because other programs run too.
fn time(mut act: impl FnMut(usize)) -> f64 {
    let (mut best, mut n) = (f64::MAX, 0);
    for _ in 0..12 {
        let begun = Instant::now();
        for _ in 0..20_000 {
            act(n);
            n += 1;
        }
        best = best.min(begun.elapsed().as_nanos() as f64 / 20_000.0);
    }
    best
}
