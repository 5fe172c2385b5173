//! The full screen: keys in, questions out, answers in, and drawing.

use super::app::{Act, App};
use super::look::{Look, Question};
use super::paint::Paint;
use super::terminal::Screen;
use anyhow::Context as _;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};
use steth_query::Error;

/// A key shows at once, an answer after so long at most.
const TURN: Duration = Duration::from_millis(50);
/// Ages are in seconds.
const AGES: Duration = Duration::from_secs(1);

/// An answer, with its question.
type Told = (Question, Result<Look, String>);

/// Asks on a thread of its own, one question after the other, so that keys never wait for an agent.
struct Asker {
    questions: SyncSender<Question>,
    answers: Receiver<Told>,
    asking: bool,
}

impl Asker {
    fn start(mut ask: impl FnMut(&Question) -> Result<Look, Error> + Send + 'static) -> anyhow::Result<Self> {
        let (questions, asked) = sync_channel::<Question>(1);
        let (tell, answers) = sync_channel::<Told>(1);
        // It ends with its channels; at the end nobody waits for an answer.
        let work = move || {
            for question in asked {
                let look = ask(&question).map_err(|error| error.to_string());
                if tell.send((question, look)).is_err() {
                    break;
                }
            }
        };
        thread::Builder::new().name("ask".to_owned()).spawn(work).context("cannot start a thread")?;
        Ok(Self { questions, answers, asking: false })
    }
}

/// Shows it until somebody has seen enough.
pub(super) fn run(
    app: &mut App,
    ask: impl FnMut(&Question) -> Result<Look, Error> + Send + 'static,
    interval: Duration,
    colour: bool,
) -> anyhow::Result<()> {
    let paint = Paint { colour };
    let mut asker = Asker::start(ask)?;
    let mut screen = Screen::take()?;
    let (mut draw, mut ask) = (true, false);
    let (mut asked, mut drawn) = (Instant::now(), Instant::now());
    loop {
        if app.paused.is_none() && asked.elapsed() >= interval {
            ask = true;
        }
        if ask && !asker.asking {
            // There is room: it is the only one.
            asker.asking = asker.questions.try_send(app.question(super::now_ms())).is_ok();
            (ask, asked) = (false, Instant::now());
        }
        if draw || drawn.elapsed() >= AGES {
            screen.draw(|frame| paint.screen(frame, app, super::now_ms())).context("cannot draw")?;
            (draw, drawn) = (false, Instant::now());
        }
        let mut suspend = screen.is_wanted();
        if event::poll(TURN).context("the terminal does not answer")? {
            match event::read().context("the terminal does not answer")? {
                Event::Key(key) if key.kind != KeyEventKind::Release => match app.key(key) {
                    Act::Nothing => {}
                    Act::Draw => draw = true,
                    Act::Ask => (draw, ask) = (true, true),
                    Act::Suspend => suspend = true,
                    Act::Quit => return Ok(()),
                },
                Event::Resize(..) => {
                    screen.clear()?;
                    draw = true;
                }
                _ => {}
            }
        }
        if screen.is_over() {
            return Ok(());
        }
        if suspend {
            screen.suspend()?;
            draw = true;
        }
        draw |= screen.returned()?;
        match asker.answers.try_recv() {
            Ok((question, answer)) => {
                asker.asking = false;
                ask |= app.told(&question, answer);
                draw = true;
            }
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => anyhow::bail!("nobody asks any more; this is a mistake of steth"),
        }
    }
}
