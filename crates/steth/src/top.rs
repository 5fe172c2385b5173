//! `steth top`: services, edges, operations, connections, DNS and requests of a running agent. On a terminal it is a full
//! screen, into a pipe a table or a line of JSON each time.

mod app;
mod item;
mod live;
mod look;
mod paint;
mod plain;
mod scope;
mod terminal;
#[cfg(test)]
mod tests;
mod view;

use crate::ask::{Agent, Connect};
use crate::remote::Remote;
use crate::stop::{self, Stop};
use app::App;
use look::{Look, Question};
use plain::Plain;
use scope::Scope;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use steth_query::{Answers, Api, Range};
use steth_store::Store;
use view::{Sort, View};

/// What is shown, and how.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  steth top --by operations --sort p99\n  \
    steth top --by edges --once --json | jq -r '.rows[] | [.client, .server, .rate] | @tsv'\n  \
    NO_COLOR=1 steth top --seconds 3600\n  \
    steth top --connect https://HOST:7117 --ca steth.pem\n  sudo steth top --data /var/lib/steth --seconds 86400\n\nOn a terminal, ? tells the keys.")]
pub(crate) struct Args {
    /// What a row is
    #[arg(long, value_enum, default_value = "services")]
    by: View,
    /// What the first row has most of; each view has its own
    #[arg(long, value_enum)]
    sort: Option<Sort>,
    /// Only rows with this text in a name, whatever the case
    #[arg(long, value_name = "TEXT", default_value = "")]
    filter: String,
    /// How often the agent is asked again (5s, 500ms); its windows are ten seconds long
    #[arg(long, default_value = "5s", value_parser = humantime::parse_duration)]
    interval: Duration,
    /// Of the last so many seconds, in steps of ten at least: 10 to 31536000
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(10..=31_536_000))]
    seconds: u64,
    /// Print once and stop
    #[arg(long)]
    once: bool,
    /// One JSON object each time, instead of a table
    #[arg(long)]
    json: bool,
    /// One table after the other on a terminal too, without a screen that takes keys
    #[arg(long)]
    plain: bool,
    /// Without colours, as with NO_COLOR in the environment
    #[arg(long)]
    no_color: bool,
    #[command(flatten)]
    connect: Connect,
    /// Read the data directory of an agent instead, whether it runs or not; nothing in it is changed
    #[arg(long, value_name = "DIRECTORY", conflicts_with_all = ["connect", "ca"])]
    data: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(args.interval >= Duration::from_millis(100), "--interval is too short; 100ms or more");
    if let Some(sort) = args.sort.filter(|sort| !args.by.sorts().contains(sort)) {
        let sorts: Vec<&str> = args.by.sorts().iter().map(|sort| sort.name()).collect();
        anyhow::bail!("{} cannot be sorted by {}; by {}", args.by.word(), sort.name(), sorts.join(", "));
    }
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colour = !args.no_color && !plain;
    let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let (place, api): (String, Box<dyn Api + Send>) = match &args.data {
        Some(data) => (data.display().to_string(), Box::new(Answers::new(Store::look(data)?))),
        None => {
            let agent = Agent::at(&args.connect)?;
            (agent.place().to_string(), Box::new(Remote(agent)))
        }
    };
    if terminal && !args.once && !args.json && !args.plain {
        full_screen(args, place, api, colour)?;
    } else {
        again_and_again(args, &*api, colour)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn full_screen(args: &Args, place: String, api: Box<dyn Api + Send>, colour: bool) -> anyhow::Result<()> {
    let mut app = App::new(args.by, args.sort, &args.filter, args.seconds, place);
    // The first answer must come, and what is wrong is said where it can be read; later on the agent may be away for a while.
    let question = app.question(now_ms());
    let look = question.ask(&*api)?;
    app.told(&question, Ok(look));
    live::run(&mut app, move |question| question.ask(&*api), args.interval, colour)
}

fn again_and_again(args: &Args, api: &dyn Api, colour: bool) -> anyhow::Result<()> {
    let stop = stop::on_signals()?;
    let mut plain = Plain::new(args.json, colour);
    let look = || -> anyhow::Result<Look> { Ok(args.question().ask(api)?) };
    let mut seen = Ok(look()?);
    while plain.show(&seen)? && !args.once && wait(args.interval, &stop) {
        seen = look();
    }
    Ok(())
}

impl Args {
    fn question(&self) -> Question {
        let to_ms = now_ms();
        Question {
            view: self.by,
            scope: Scope::All,
            sort: self.sort.unwrap_or(self.by.sorts()[0]),
            ascending: false,
            text: self.filter.clone(),
            range: Range { from_ms: to_ms.saturating_sub(self.seconds * 1000), to_ms },
            people: false,
        }
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis() as u64)
}

/// Whether to go on after a while.
fn wait(interval: Duration, stop: &Stop) -> bool {
    let until = Instant::now() + interval;
    while !stop.requested() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        std::thread::sleep(left.min(Duration::from_millis(50)));
    }
    false
}
