//! Which processes are observed.
//!
//! ```text
//! configuration --> Rules ==[ a table for each row ]==> kernel side, at exec
//!                     `-- the same tables --> processes that run already
//! ```
//!
//! A rule is regular expressions to include and to exclude. The kernel side has to decide before a new image's first
//! instruction, and cannot ask anyone; so the expressions become tables of transitions ([`Automaton`]) that it walks over
//! executable, command line and environment. Processes that are running when the rules come are judged by the same tables.
//!
//! ```
//! use steth_verdict::{Image, Patterns, Rules};
//! let nobody = Patterns { exclude: vec!["--quiet".into()], ..Patterns::default() };
//! let rules = Rules::new(&Patterns::default(), &nobody, &Patterns::default())?;
//! let image = |command_line| Image { executable: b"/bin/x", command_line, environment: b"" };
//! assert!(rules.judge(&image(b"x\0--loud\0")).selected);
//! assert!(!rules.judge(&image(b"x\0--quiet\0")).selected);
//! # Ok::<(), steth_verdict::RuleError>(())
//! ```

mod automaton;
mod rules;

pub use automaton::{Automaton, TRANSITIONS};
pub use rules::{Image, Judgement, Patterns, ROWS, Row, Rules};

/// Why rules cannot be used. Each message names the expression and the fix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// Not a regular expression.
    #[error("'{pattern}' is not a regular expression: {cause}")]
    Malformed {
        /// The expression.
        pattern: String,
        /// Where it goes wrong.
        cause: String,
    },
    /// An environment rule without the sign between name and value.
    #[error("'{0}' names no variable; write NAME=VALUE, both regular expressions, such as ^APP_.*=prod")]
    NoVariable(String),
    /// It would not fit into the kernel side's table.
    #[error(
        "the expressions {patterns:?} make too large a table together; repeat less ({{1,100}}), list fewer of them, or say it with \
         one that is less exact"
    )]
    TooLarge {
        /// The expressions of this row.
        patterns: Vec<String>,
    },
}
