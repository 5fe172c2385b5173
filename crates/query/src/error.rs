//! Why there is no answer.

/// Why there is no answer. What each says names the cause and, where there is one, the way out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The question makes no sense: whoever asks has to change it.
    #[error("{0}")]
    Question(String),
    /// Who is asked for is not known.
    #[error("{0}")]
    Unknown(String),
    /// The answer would take more rows than an answer may.
    #[error("more than {limit} rows match; ask for a shorter range, or for one service")]
    TooMany {
        /// Most rows that an engine reads for one answer.
        limit: usize,
    },
    /// It took longer than an answer may.
    #[error("no answer within {ms} ms; ask for a shorter range, or for one service")]
    TooLong {
        /// Milliseconds that an answer may take.
        ms: u64,
    },
    /// What keeps the windows does not answer; in words, with the cause.
    #[error("the store does not answer: {0}")]
    Store(String),
    /// Another program was asked, and did not answer; in words, with the cause.
    #[error("{0}")]
    Remote(String),
}
