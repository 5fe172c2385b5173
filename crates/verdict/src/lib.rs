//! Which processes are observed.
//!
//! ```text
//! configuration --> Rules ==[ a table for each row ]==> kernel side, at exec
//!                     |-- the same tables --> processes that run already
//!                     `-- a table for each row of containers --> a container, once it is known
//! ```
//!
//! A rule is regular expressions to include and to exclude. The kernel side has to decide before a new image's first
//! instruction, and cannot ask anyone; so the expressions become tables of transitions ([`Automaton`]) that it walks over
//! executable, command line and environment. Processes that are running when the rules come are judged by the same tables. What a
//! container is called the kernel does not know: that is judged in user space, and the verdict handed down ([`ContainerFacts`]).
//!
//! ```
//! use steth_verdict::{Image, Patterns, Rows, Rules};
//! let nobody = Patterns { exclude: vec!["--quiet".into()], ..Patterns::default() };
//! let rules = Rules::new(&Rows { command_line: nobody, ..Rows::default() })?;
//! let image = |command_line| Image { executable: b"/bin/x", command_line, environment: b"" };
//! assert!(rules.judge(&image(b"x\0--loud\0")).selected);
//! assert!(!rules.judge(&image(b"x\0--quiet\0")).selected);
//! # Ok::<(), steth_verdict::RuleError>(())
//! ```

mod automaton;
mod connections;
mod rules;

pub use automaton::{Automaton, TRANSITIONS};
pub use connections::{Connections, LIST, Lists, Network, PortRange};
pub use rules::{ContainerFacts, Image, Judgement, Patterns, ROWS, Row, Rows, Rules};

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
    /// A rule of environments or labels without the sign between name and value.
    #[error("'{0}' names no variable or label; write NAME=VALUE, both regular expressions, such as ^APP_.*=prod")]
    NoVariable(String),
    /// Neither a port nor a range.
    #[error("'{0}' is no port; write one from 1 to 65535, or a range such as \"8000-8099\"")]
    Port(String),
    /// Not a network.
    #[error("'{0}' is no network; write an address and how many bits of it count, such as 10.0.0.0/8 or 2001:db8::/32")]
    Network(String),
    /// A list of ports or networks is too long for the kernel side.
    #[error(
        "selection.{row} has {length} entries in one list; at most 1024, so join neighbours to a range or a larger network"
    )]
    TooMany {
        /// The row.
        row: &'static str,
        /// How many there are.
        length: usize,
    },
    /// Not a share.
    #[error("selection.sampling is {0}; it is a share, above 0 and up to 1, which is all connections")]
    Share(String),
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
