//! The terminal, as long as it is ours: raw, on its other screen, and given back however this ends.

use anyhow::Context as _;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use std::io::{self, Stdout, Write as _};
use std::sync::Arc;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Whoever was told to end and has not by then is ended.
const GRACE: Duration = Duration::from_secs(1);

/// The screen that is drawn on. Dropping it gives the terminal back.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    signals: Signals,
}

/// Signals that have come.
struct Signals {
    /// SIGTERM, SIGINT, SIGHUP: it is over.
    end: Arc<AtomicBool>,
    /// SIGTSTP: the shell wants the terminal.
    stop: Arc<AtomicBool>,
    /// SIGCONT: the terminal is ours again, and nobody knows what it looks like.
    go_on: Arc<AtomicBool>,
}

impl Signals {
    fn on() -> io::Result<Self> {
        use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGTSTP};
        let flag = |signals: &[i32]| -> io::Result<Arc<AtomicBool>> {
            let flag = Arc::new(AtomicBool::new(false));
            for signal in signals {
                signal_hook::flag::register(*signal, flag.clone())?;
            }
            Ok(flag)
        };
        let end = [SIGTERM, SIGINT, SIGHUP];
        // Whoever reads from a terminal that is gone may never come back to look at a flag.
        let mut last = signal_hook::iterator::Signals::new(end)?;
        let exit = move || {
            if let Some(signal) = last.forever().next() {
                thread::sleep(GRACE);
                give_back();
                let _ = signal_hook::low_level::emulate_default_handler(signal);
            }
        };
        thread::Builder::new().name("end".to_owned()).spawn(exit)?;
        Ok(Self { end: flag(&end)?, stop: flag(&[SIGTSTP])?, go_on: flag(&[SIGCONT])? })
    }
}

impl Screen {
    /// Takes the terminal.
    pub(super) fn take() -> anyhow::Result<Self> {
        static HOOK: Once = Once::new();
        let signals = Signals::on()?;
        // First the terminal, then the words: on the other screen nobody would read them. A release build ends right after it.
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                give_back();
                before(panic);
            }));
        });
        occupy().context("the terminal cannot be used")?;
        let terminal = Terminal::new(CrosstermBackend::new(io::stdout()));
        let mut screen = match terminal {
            Ok(terminal) => Self { terminal, signals },
            Err(error) => {
                give_back();
                return Err(error.into());
            }
        };
        screen.terminal.clear()?;
        Ok(screen)
    }

    /// Draws.
    pub(super) fn draw(&mut self, paint: impl FnOnce(&mut ratatui::Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(paint).map(drop)
    }

    /// Whether a signal has said that it is over.
    pub(super) fn is_over(&self) -> bool {
        self.signals.end.load(Ordering::Relaxed)
    }

    /// Whether a signal asks for the terminal.
    pub(super) fn is_wanted(&self) -> bool {
        self.signals.stop.swap(false, Ordering::Relaxed)
    }

    /// After a stop that was not seen (SIGSTOP): takes the terminal again. Whether everything has to be drawn.
    pub(super) fn returned(&mut self) -> io::Result<bool> {
        let returned = self.signals.go_on.swap(false, Ordering::Relaxed);
        if returned {
            occupy()?;
            self.terminal.clear()?;
        }
        Ok(returned)
    }

    /// Gives the terminal to the shell, until this program is wanted again.
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        give_back();
        // Returns when somebody sends SIGCONT.
        signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGTSTP)?;
        self.signals.go_on.store(false, Ordering::Relaxed);
        occupy()?;
        self.terminal.clear()
    }

    /// Everything is drawn anew.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.terminal.clear()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn occupy() -> io::Result<()> {
    enable_raw_mode()?;
    execute!(io::stdout(), EnterAlternateScreen)
}

/// As it was. Whatever fails, the rest is tried: there may be no terminal any more.
fn give_back() {
    let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
    let _ = io::stdout().flush();
}
