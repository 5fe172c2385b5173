//! Screens as they are drawn, keys as they are pressed: an agent that always says the same, and a terminal in memory.

use super::app::{Act, App};
use super::item::Item;
use super::look::{Look, Question};
use super::paint::Paint;
use super::plain;
use super::scope::Scope;
use super::view::{Sort, View};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::Color;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::path::Path;
use steth_query::{Answer, Api, Error, Range, ask, tell};
use unicode_width::UnicodeWidthStr as _;

/// A quarter of a minute after the newest window.
const NOW: u64 = 1_800_000_014_000;
const ORDERS: &str = "00000000000000a1";
const FRONT: &str = "00000000000000a2";
const REDIS: &str = "00000000000000a3";
const STRANGER: &str = "00000000000000a4";
/// What somebody may call himself.
const EVIL: &str = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{202e}web";

fn times(count: u64, ms: f64) -> Value {
    json!({"count": count, "mean_ns": ms * 1e6, "p50_ns": ms * 5e5, "p95_ns": ms * 1e6, "p99_ns": ms * 2e6,
        "max_ns": (ms * 3e6) as u64})
}

fn signals(count: u64, errors: u64, ms: f64) -> Value {
    json!({"count": count, "rate": count as f64 / 60.0, "errors": errors,
        "error_ratio": errors as f64 / count.max(1) as f64, "slow": 3, "blocking": 0, "request_bytes": 100 * count,
        "response_bytes": 400 * count, "time_ns": (ms * 1e6) as u64 * count, "duration": times(count, ms)})
}

/// As the server saw it: most of the time before it read.
fn served(count: u64, errors: u64, ms: f64) -> Value {
    let mut signals = signals(count, errors, ms);
    signals["queue"] = times(count, ms * 4.0);
    signals["service"] = times(count, ms * 0.9);
    json!({"preferred": "server", "client": self::signals(count, errors, ms * 5.0), "server": signals})
}

fn nobody() -> Value {
    json!({"preferred": null})
}

fn books(opened: u64, refused: u64) -> Value {
    json!({"preferred": "client", "client": {"open": 4, "opened": opened, "closed": 2, "bytes_to_server": 600_000,
        "bytes_to_client": 12_000_000, "segments_to_server": 900, "segments_to_client": 9000,
        "retransmitted_segments": 7, "retransmitted_bytes": 9800, "lost_segments": 1, "reordered": 0,
        "duplicate_segments": 2, "busy_us": 1200, "receive_window_us": 0, "send_buffer_us": 0, "refused": refused,
        "connect_timed_out": 0, "unreachable": 0, "abandoned": 1, "failed_otherwise": 0, "resets_by_client": 0,
        "resets_by_server": 1, "timed_out": 0, "rtt": times(40, 0.08), "rtt_min_ns": 20_000, "connect": times(9, 0.1),
        "accept_wait": null}})
}

fn node(id: &str, name: &str, answers: Value, health: Value) -> Value {
    json!({"id": id, "name": name, "namespace": if id == FRONT { "shop" } else { "" }, "kind": "service",
        "protocols": [if id == REDIS { "redis" } else { "http" }], "ports": [8080], "answers": answers,
        "asks": nobody(), "health": health})
}

fn healthy() -> Value {
    json!({"state": "healthy", "findings": []})
}

fn failing() -> Value {
    json!({"state": "failing", "findings": [{"about": "errors", "state": "failing",
        "sentence": "6.7 % of 900 requests fail, most of them with 503.", "detail": "60 failures of 2 kinds."},
        {"about": "queue", "state": "degraded",
        "sentence": "1.4 s of 1.8 s is spent before the server reads the request.", "detail": ""}]})
}

fn edge((client, client_name): (&str, &str), (server, server_name): (&str, &str), port: u16) -> Value {
    let read = server != STRANGER;
    json!({"client": client, "client_name": client_name, "server": server, "server_name": server_name, "port": port,
        "protocol": read.then_some(if server == REDIS { "redis" } else { "http" }), "transport": "tcp",
        "signals": if read { served(900, if server == ORDERS { 60 } else { 0 }, 7.5) } else { nobody() },
        "books": books(if read { 12 } else { 0 }, if read { 0 } else { 5 }),
        "state": if server == REDIS { "healthy" } else { "failing" }, "curve": [1, 5, 9, 3, 0, 7]})
}

fn edges() -> Vec<Value> {
    vec![
        edge((FRONT, "shop/storefront"), (ORDERS, "orders"), 8080),
        edge((ORDERS, "orders"), (REDIS, "redis-server"), 6379),
        edge((ORDERS, "orders"), (STRANGER, "198.51.100.7:443"), 443),
        edge((FRONT, "shop/storefront"), (STRANGER, EVIL), 443),
    ]
}

fn services() -> Vec<Value> {
    vec![
        json!({"node": node(ORDERS, "orders", served(900, 60, 7.5), failing()), "bytes": 12_600_000,
            "curve": [1, 5, 9, 3, 0, 7]}),
        json!({"node": node(REDIS, "redis-server", served(5000, 0, 0.2), healthy()), "bytes": 99_000_000,
            "curve": [9, 9, 9, 9, 9, 9]}),
        json!({"node": node(FRONT, "storefront", served(30, 0, 80.0), healthy()), "bytes": 640, "curve": [0, 0, 1]}),
        json!({"node": node(STRANGER, EVIL, nobody(), json!({"state": "idle", "findings": []})), "bytes": 0}),
    ]
}

fn request(number: u64) -> Value {
    let time = |second: u64| format!("2027-01-15T08:0{number}:{second:02}.000000000Z");
    json!({"why": ["slowest"], "instants": {"arrival": time(1), "start": time(2), "request_end": time(2),
        "first_byte": time(3), "end": time(4)},
        "exchange": {"type": "exchange", "time": time(2), "protocol": "mysql", "side": "server",
        "client": {"ip": "127.0.0.1", "port": 40_000 + number, "pid": 7, "process": "orders.py", "service": "orders"},
        "server": {"ip": "127.0.0.1", "port": 3306, "pid": 9, "process": "mariadbd", "service": null,
            "container_name": "db"},
        "operation": format!("SELECT products {number}"), "status": if number == 2 { json!(503) } else { json!("OK") },
        "error": number == 2, "outcome": "answered", "duration_ns": 1_800_000_000 / number, "first_byte_ns": 400_000_000,
        "queue_ns": 1_400_000_000u64, "service_ns": 400_000_000, "request_bytes": 120, "response_bytes": 4800,
        "attributes": {"db.query.text": "SELECT * FROM products WHERE id = ?", "evil": EVIL}},
        "tcp": {"rtt_ns": 21_000}})
}

/// An agent that remembers what it was asked for.
#[derive(Default)]
struct Agent {
    asked: RefCell<Vec<String>>,
}

fn answer<T: DeserializeOwned>(range: Range, data: Value) -> Result<Answer<T>, Error> {
    let newest = NOW - 14_000;
    let answer = json!({"meta": {"range": {"from_ms": newest - range.length_ms(), "to_ms": newest}, "tier": "10s",
        "step_ms": 10_000, "newest_ms": newest, "complete": false,
        "missing": [{"range": {"from_ms": newest - 60_000, "to_ms": newest - 50_000}, "why": "it did not run"}],
        "folded": {"operations": 2, "rows": 0, "edges": 0, "misdated": 0}}, "data": data});
    // Through text, as from an agent: raw parts of JSON come out of nothing else.
    serde_json::from_str(&answer.to_string()).map_err(|error| Error::Remote(error.to_string()))
}

impl Api for Agent {
    fn map(&self, _: &ask::Map) -> Result<Answer<tell::Map>, Error> {
        Err(Error::Unknown("not asked for by this program".to_owned()))
    }

    fn series(&self, _: &ask::Series) -> Result<Answer<tell::Series>, Error> {
        Err(Error::Unknown("not asked for by this program".to_owned()))
    }

    fn heatmap(&self, _: &ask::Heatmap) -> Result<Answer<tell::Heatmap>, Error> {
        Err(Error::Unknown("not asked for by this program".to_owned()))
    }

    fn entities(&self, _: &ask::Entities) -> Result<Answer<tell::Entities>, Error> {
        Err(Error::Unknown("not asked for by this program".to_owned()))
    }

    fn top(&self, ask: &ask::Top) -> Result<Answer<tell::Top>, Error> {
        use steth_query::ask::Question as _;
        self.asked.borrow_mut().push(ask.to_query());
        let wanted = ask.text.clone().unwrap_or_default();
        let has = |name: &str| name.contains(&wanted);
        let data = match ask.by {
            ask::TopBy::Services => {
                let mut services = services();
                services.retain(|it| has(it["node"]["name"].as_str().unwrap_or_default()));
                json!({"total": 40, "services": services})
            }
            ask::TopBy::Edges | ask::TopBy::Connections => json!({"total": 4, "edges": edges()}),
            ask::TopBy::Operations => json!({"total": 2, "operations": [
                {"server": ORDERS, "server_name": "orders", "protocol": "http", "operation": "POST /orders/{id}",
                    "namespace": "", "signals": served(600, 60, 9.0), "share": 0.81, "curve": [3, 4, 5]},
                {"server": ORDERS, "server_name": "orders", "protocol": "http", "operation": "GET /orders",
                    "namespace": "", "signals": served(300, 0, 2.0), "share": 0.19, "curve": [1, 1, 1]},
            ]}),
        };
        answer(ask.range, data)
    }

    fn requests(&self, ask: &ask::Requests) -> Result<Answer<tell::Requests>, Error> {
        answer(ask.range, json!({"matching": 7, "requests": [request(3), request(2), request(1)]}))
    }

    fn entity(&self, ask: &ask::Entity) -> Result<Answer<tell::Entity>, Error> {
        let process = |pid: u32| {
            json!({"pid": pid, "name": "orders.py", "executable": "/usr/bin/python3", "unit": "orders.service",
                "container": "", "container_name": "", "image": "", "pod": "", "listening": [8080], "started_ms": null})
        };
        let edges = edges();
        answer(
            ask.range,
            json!({"node": node(ORDERS, "orders", served(900, 60, 7.5), failing()),
            "seen": {"from_ms": 0, "to_ms": NOW}, "callers": [edges[0]], "dependencies": [edges[1], edges[2]],
            "answering": null, "asking": null, "processes": [process(11), process(12)], "before": served(800, 0, 2.5)}),
        )
    }

    fn dns(&self, ask: &ask::Dns) -> Result<Answer<tell::Dns>, Error> {
        let question = |operation: &str, count, errors, codes: Value| json!({"operation": operation, "signals": signals(count, errors, 0.4), "codes": codes});
        answer(
            ask.range,
            json!({"signals": nobody(), "codes": [{"code": "NOERROR", "count": 120},
            {"code": "NXDOMAIN", "count": 30}], "total": 2, "resolvers": [], "questions": [
            question("A orders.shop.internal", 120, 0, json!([{"code": "NOERROR", "count": 120}])),
            question("A nobody.shop.internal", 30, 30, json!([{"code": "NXDOMAIN", "count": 30}]))]}),
        )
    }
}

/// A screen in front of that agent.
struct Desk {
    app: App,
    agent: Agent,
    terminal: Terminal<TestBackend>,
    colour: bool,
}

impl Desk {
    fn at(view: View, (width, height): (u16, u16)) -> Self {
        let app = App::new(view, None, "", 60, "http://127.0.0.1:7117".to_owned());
        let terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal in memory");
        let mut desk = Self { app, agent: Agent::default(), terminal, colour: false };
        desk.ask();
        desk
    }

    fn ask(&mut self) {
        let question = self.app.question(NOW);
        let answer = question.ask(&self.agent).map_err(|error| error.to_string());
        assert!(!self.app.told(&question, answer), "it was asked for just that");
    }

    fn press(&mut self, key: KeyCode) -> Act {
        let act = self.app.key(KeyEvent::new(key, KeyModifiers::NONE));
        if act == Act::Ask {
            self.ask();
        }
        self.draw();
        act
    }

    fn keys(&mut self, keys: &str) {
        for key in keys.chars() {
            self.press(match key {
                '\n' => KeyCode::Enter,
                '\u{1b}' => KeyCode::Esc,
                key => KeyCode::Char(key),
            });
        }
    }

    fn draw(&mut self) -> Vec<String> {
        let Self { app, terminal, colour, .. } = self;
        let paint = Paint { colour: *colour };
        terminal.draw(|frame| paint.screen(frame, app, NOW)).expect("it is drawn in memory");
        let buffer = terminal.backend().buffer();
        let width = usize::from(buffer.area.width);
        let lines = buffer.content.chunks(width);
        let line = |cells: &[ratatui::buffer::Cell]| {
            let text: String = cells.iter().map(ratatui::buffer::Cell::symbol).collect();
            text.trim_end().to_owned()
        };
        lines.map(line).collect()
    }

    fn text(&mut self) -> String {
        self.draw().join("\n") + "\n"
    }
}

/// Compares with a file in tests/golden/top, or writes it if `STETH_WRITE_GOLDEN` is set.
fn looks_like(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/top/{name}.txt"));
    if std::env::var_os("STETH_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, text).expect("the file can be written");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(text == expected, "{name} looks otherwise; STETH_WRITE_GOLDEN=1 writes what it is now:\n{text}");
}

#[test]
fn every_view_looks_as_it_should_on_a_small_and_on_a_wide_screen() {
    for view in View::ALL {
        for (name, size) in [("80x24", (80, 24)), ("160x30", (160, 30))] {
            let text = Desk::at(view, size).text();
            looks_like(&format!("{}-{name}", view.word()), &text);
        }
    }
}

#[test]
fn what_lies_over_the_table_looks_as_it_should() {
    let mut desk = Desk::at(View::Services, (80, 24));
    desk.keys("\n");
    looks_like("one-service-80x24", &desk.text());
    desk.keys("?");
    looks_like("help-80x24", &desk.text());
    let mut desk = Desk::at(View::Requests, (80, 30));
    desk.keys("j\n");
    looks_like("one-request-80x30", &desk.text());
    let mut desk = Desk::at(View::Connections, (80, 30));
    desk.keys("jj\n");
    looks_like("one-connection-80x30", &desk.text());
}

#[test]
fn enter_leads_from_a_service_to_its_requests_and_escape_back() {
    let mut desk = Desk::at(View::Services, (100, 24));
    let views = |desk: &Desk| (desk.app.place().view, desk.app.depth());
    desk.keys("\n");
    assert_eq!(views(&desk), (View::Services, 1));
    assert!(desk.text().contains("3 of 3 neighbours of orders"), "{}", desk.text());
    desk.keys("\n");
    assert_eq!(views(&desk), (View::Operations, 2));
    assert!(desk.text().contains("operations of shop/storefront -> orders:8080"), "{}", desk.text());
    let asked = desk.agent.asked.borrow().last().cloned().expect("it was asked");
    for part in [&format!("client={FRONT}"), &format!("server={ORDERS}"), "port=8080", "protocol=http", "by=operations"]
    {
        assert!(asked.contains(part), "{asked}");
    }
    desk.keys("\n");
    assert_eq!(views(&desk), (View::Requests, 3));
    assert!(desk.text().contains("requests of orders POST /orders/{id}"), "{}", desk.text());
    desk.keys("\n");
    assert!(desk.text().contains("kept as    slowest"), "{}", desk.text());
    desk.keys("\u{1b}\u{1b}\u{1b}\u{1b}");
    assert_eq!(views(&desk), (View::Services, 0));
    assert_eq!(desk.press(KeyCode::Esc), Act::Nothing, "there is nothing before the first");
    // What nobody reads has connections, and no operations.
    let mut desk = Desk::at(View::Edges, (100, 24));
    desk.keys("jj\n");
    assert_eq!(views(&desk), (View::Connections, 1));
}

#[test]
fn another_view_is_of_the_same_where_it_can_be() {
    let mut desk = Desk::at(View::Services, (100, 24));
    desk.keys("\n3");
    assert!(desk.text().contains("operations asked of orders"), "{}", desk.text());
    desk.keys("2");
    assert!(desk.text().contains("edges of orders"), "{}", desk.text());
    desk.keys("\n1");
    assert_eq!((desk.app.place().view, desk.app.depth()), (View::Services, 0));
    assert_eq!(desk.app.place().scope, Scope::All, "an edge has no services");
}

#[test]
fn a_filter_is_asked_for_as_it_is_written_and_taken_back() {
    let mut desk = Desk::at(View::Services, (100, 24));
    desk.keys("/redis");
    assert!(desk.text().contains("/redis_") && !desk.text().contains("storefront"), "{}", desk.text());
    assert!(desk.agent.asked.borrow().last().expect("asked").contains("text=redis"));
    desk.keys("\n");
    assert!(desk.text().contains("/redis") && !desk.text().contains("/redis_"), "{}", desk.text());
    desk.keys("/x");
    assert!(desk.text().contains("nothing has this text"), "{}", desk.text());
    desk.keys("\u{1b}");
    assert_eq!(desk.app.place().text, "redis");
    desk.keys("\u{1b}");
    assert_eq!(desk.app.place().text, "");
    // Keys are letters while it is written.
    desk.keys("/q");
    assert_eq!(desk.app.place().text, "q");
}

#[test]
fn the_choice_stays_with_its_row_when_rows_move() {
    let mut desk = Desk::at(View::Services, (100, 24));
    desk.keys("j");
    let chosen = |desk: &Desk| {
        let look = desk.app.shown().expect("an answer");
        look.items[desk.app.place().at].key()
    };
    assert_eq!(chosen(&desk), REDIS);
    let question = desk.app.question(NOW + 5000);
    let mut look = question.ask(&desk.agent).expect("an answer");
    look.items.swap(1, 2);
    look.cells.swap(1, 2);
    assert!(!desk.app.told(&question, Ok(look)));
    assert_eq!((chosen(&desk), desk.app.place().at), (REDIS.to_owned(), 2));
    // Who stands at the top stays at the top.
    desk.keys("g");
    let question = desk.app.question(NOW + 10_000);
    let mut look = question.ask(&desk.agent).expect("an answer");
    look.items.swap(0, 1);
    desk.app.told(&question, Ok(look));
    assert_eq!(desk.app.place().at, 0);
}

#[test]
fn an_old_answer_is_not_shown_and_an_error_leaves_what_was_there() {
    let mut desk = Desk::at(View::Services, (120, 24));
    let old = desk.app.question(NOW);
    let look = old.ask(&desk.agent).expect("an answer");
    desk.app.key(KeyEvent::new(KeyCode::Char('2'), KeyModifiers::NONE));
    assert!(desk.app.told(&old, Ok(look)), "the new question waits");
    assert!(desk.text().contains("asking"), "{}", desk.text());
    desk.ask();
    let question = desk.app.question(NOW);
    desk.app.told(&question, Err("no agent answers at \u{1b}[2J".to_owned()));
    let text = desk.text();
    assert!(text.contains("no agent answers at") && text.contains("redis-server:6379"), "{text}");
}

#[test]
fn sorting_turning_time_and_pause() {
    let mut desk = Desk::at(View::Edges, (100, 24));
    desk.keys("sr");
    assert_eq!((desk.app.place().sort, desk.app.place().ascending), (Sort::Errors, true));
    let asked = desk.agent.asked.borrow().last().cloned().expect("asked");
    assert!(asked.contains("sort=error_ratio") && asked.contains("ascending=true"), "{asked}");
    desk.keys("S");
    assert_eq!((desk.app.place().sort, desk.app.place().ascending), (Sort::Rate, false));
    desk.keys("+");
    assert_eq!(desk.app.seconds, 300);
    desk.keys("---");
    assert_eq!(desk.app.seconds, 10);
    desk.keys(" ");
    assert!(desk.text().contains("PAUSED"));
    assert_eq!(desk.app.question(NOW + 60_000).range.to_ms, NOW, "time stands still");
    desk.keys("p");
    assert_eq!(desk.app.question(NOW + 60_000).range.to_ms, NOW + 60_000);
    let control = |app: &mut App, key| app.key(KeyEvent::new(KeyCode::Char(key), KeyModifiers::CONTROL));
    assert_eq!(control(&mut desk.app, 'c'), Act::Quit);
    assert_eq!(control(&mut desk.app, 'z'), Act::Suspend);
    assert_eq!(desk.press(KeyCode::Char('q')), Act::Quit);
}

#[test]
fn what_the_agent_does_not_sort_is_sorted_here() {
    let agent = Agent::default();
    let looked = |view: View, sort, ascending| {
        let mut question = Desk::at(view, (80, 24)).app.question(NOW);
        (question.sort, question.ascending) = (sort, ascending);
        question.ask(&agent).expect("an answer")
    };
    let names = |look: &Look| look.items.iter().map(Item::names).collect::<Vec<_>>();
    assert_eq!(names(&looked(View::Services, Sort::Queue, false))[0], "shop/storefront");
    let upwards = names(&looked(View::Services, Sort::Queue, true));
    assert_eq!((&*upwards[0], &*upwards[3]), ("redis-server", EVIL), "who has none of it comes last");
    assert!(names(&looked(View::Requests, Sort::Duration, false))[0].contains("products 1"));
    assert!(names(&looked(View::Requests, Sort::Newest, true))[0].contains("products 1"));
    assert_eq!(names(&looked(View::Dns, Sort::Errors, false))[0], "A nobody.shop.internal");
    assert_eq!(names(&looked(View::Dns, Sort::Name, false))[0], "A nobody.shop.internal");
}

#[test]
fn no_name_steers_the_terminal_and_nothing_is_drawn_beyond_it() {
    for view in View::ALL {
        for size in [(40, 10), (80, 24), (113, 17), (300, 60), (39, 9), (1, 1)] {
            let mut desk = Desk::at(view, size);
            for keys in ["", "G\n", "?", "?/\u{1b}", "\n"] {
                desk.keys(keys);
                for line in desk.draw() {
                    assert!(line.width() <= usize::from(size.0), "{size:?}: {line}");
                    let steers = |c: char| c.is_control() || c == '\u{202e}';
                    assert!(!line.contains(steers), "{view:?} {size:?}: {line:?}");
                }
            }
        }
    }
}

#[test]
fn a_screen_that_changes_its_size_keeps_the_chosen_row_in_sight() {
    let mut desk = Desk::at(View::Services, (80, 24));
    desk.keys("G");
    desk.terminal.backend_mut().resize(80, 10);
    desk.terminal.resize(ratatui::layout::Rect::new(0, 0, 80, 10)).expect("resized");
    desk.draw();
    let place = desk.app.place();
    assert!((place.first..place.first + desk.app.room).contains(&place.at), "{place:?} {}", desk.app.room);
}

#[test]
fn colours_are_there_only_when_they_are_wanted() {
    for colour in [false, true] {
        let mut desk = Desk::at(View::Services, (100, 24));
        desk.colour = colour;
        desk.draw();
        let coloured = |cell: &ratatui::buffer::Cell| cell.fg != Color::Reset || cell.bg != Color::Reset;
        assert_eq!(desk.terminal.backend().buffer().content.iter().any(coloured), colour);
    }
}

#[test]
fn tables_and_json_for_other_programs() {
    let agent = Agent::default();
    let look = |view: View| {
        let question = Question { people: false, ..Desk::at(view, (80, 24)).app.question(NOW) };
        question.ask(&agent).expect("an answer")
    };
    for view in View::ALL {
        let look = look(view);
        let piped = plain::lines(&look, None, false);
        assert!(piped[0].contains(view.word()) && piped.len() > look.items.len(), "{piped:#?}");
        for width in [40, 80, 200] {
            let lines = plain::lines(&look, Some(width), false);
            assert!(lines.iter().all(|line| line.width() <= width), "{width}: {lines:#?}");
        }
        let json = look.to_json().expect("it serialises");
        assert_eq!((&json["seconds"], &json["meta"]["complete"]), (&json!(50.0), &json!(false)), "{view:?}");
        assert_eq!(json["rows"].as_array().map(Vec::len), Some(look.items.len()), "{view:?}");
    }
    let json = look(View::Edges).to_json().expect("it serialises");
    assert_eq!((&json["by"], &json["sort"], &json["total"]), (&json!("edges"), &json!("rate"), &json!(4)));
    let row = &json["rows"][0];
    assert_eq!(
        (&row["client"], &row["server"], &row["side"]),
        (&json!("shop/storefront"), &json!("orders"), &json!("server"))
    );
    assert_eq!(
        (&row["count"], &row["queue"]["p95_ns"], &row["books"]["opened"]),
        (&json!(900), &json!(3e7), &json!(12))
    );
    assert!(json["rows"][2].get("count").is_none() && json["rows"][2]["protocol"].is_null(), "only books");
    let json = look(View::Requests).to_json().expect("it serialises");
    assert_eq!(json["rows"][0]["exchange"]["operation"], "SELECT products 3");
    let json = look(View::Connections).to_json().expect("it serialises");
    assert_eq!((&json["rows"][2]["refused"], &json["rows"][2]["transport"]), (&json!(5), &json!("tcp")));
}
