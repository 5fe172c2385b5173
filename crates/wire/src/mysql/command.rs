//! The commands, and what each is answered with ("Command Phase"; for MariaDB "2 - Text Protocol", "3 - Binary Protocol").

/// A command byte that names a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Command(pub(super) u8);

/// How an answer is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// OK, ERR, result sets, or a request for a local file.
    Results,
    /// Rows, without their columns' definitions.
    Rows,
    /// Definitions of columns.
    Columns,
    /// A statement's number, and definitions of its parameters and columns.
    Prepared,
    /// One packet: OK, EOF or ERR.
    Plain,
    /// One packet with text, or ERR.
    Text,
    /// A conversation that ends with OK or ERR.
    Login,
    /// Something that is not looked into, and ends with the turn.
    Unknown,
}

/// What the server does when a command has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// It answers.
    Is(Shape),
    /// It does not.
    None,
    /// The connection becomes a stream of events.
    Stream,
}

impl Command {
    pub(super) const INIT_DB: Command = Command(0x02);
    pub(super) const QUERY: Command = Command(0x03);
    pub(super) const CHANGE_USER: Command = Command(0x11);
    pub(super) const STMT_PREPARE: Command = Command(0x16);
    pub(super) const STMT_EXECUTE: Command = Command(0x17);
    pub(super) const STMT_CLOSE: Command = Command(0x19);
    pub(super) const STMT_FETCH: Command = Command(0x1c);
    pub(super) const RESET_CONNECTION: Command = Command(0x1f);
    /// MariaDB.
    pub(super) const STMT_BULK_EXECUTE: Command = Command(0xfa);
    /// The handshake response, which has no command byte. The byte is that of COM_CONNECT, which never travels.
    pub(super) const CONNECT: Command = Command(0x0b);
    /// Its name is missing. The byte is that of COM_SLEEP, which never travels.
    pub(super) const UNSEEN: Command = Command(0x00);

    /// Name and reply; `None` if no client sends it.
    pub(super) fn known(self) -> Option<(&'static str, Reply)> {
        use Shape::*;
        let is = Reply::Is;
        Some(match self.0 {
            0x01 => ("QUIT", Reply::None),
            0x02 => ("INIT_DB", is(Plain)),
            0x03 => ("QUERY", is(Results)),
            0x04 => ("FIELD_LIST", is(Columns)),
            0x05 => ("CREATE_DB", is(Plain)),
            0x06 => ("DROP_DB", is(Plain)),
            0x07 => ("REFRESH", is(Plain)),
            0x08 => ("SHUTDOWN", is(Plain)),
            0x09 => ("STATISTICS", is(Text)),
            0x0a => ("PROCESS_INFO", is(Results)),
            0x0b => ("CONNECT", is(Login)),
            0x0c => ("PROCESS_KILL", is(Plain)),
            0x0d => ("DEBUG", is(Plain)),
            0x0e => ("PING", is(Plain)),
            0x11 => ("CHANGE_USER", is(Login)),
            0x12 => ("BINLOG_DUMP", Reply::Stream),
            0x13 => ("TABLE_DUMP", Reply::Stream),
            0x15 => ("REGISTER_SLAVE", is(Plain)),
            0x16 => ("STMT_PREPARE", is(Prepared)),
            0x17 => ("STMT_EXECUTE", is(Results)),
            0x18 => ("STMT_SEND_LONG_DATA", Reply::None),
            0x19 => ("STMT_CLOSE", Reply::None),
            0x1a => ("STMT_RESET", is(Plain)),
            0x1b => ("SET_OPTION", is(Plain)),
            0x1c => ("STMT_FETCH", is(Rows)),
            0x1e => ("BINLOG_DUMP_GTID", Reply::Stream),
            0x1f => ("RESET_CONNECTION", is(Plain)),
            0x20 => ("CLONE", Reply::Stream),
            0x21 => ("SUBSCRIBE_GROUP_REPLICATION_STREAM", Reply::Stream),
            0xfa => ("STMT_BULK_EXECUTE", is(Results)),
            _ => return None,
        })
    }

    /// As it is written where no statement says more. `*` if the name is missing.
    pub(super) fn name(self) -> &'static str {
        self.known().map_or("*", |(name, _)| name)
    }

    pub(super) fn reply(self) -> Reply {
        self.known().map_or(Reply::Is(Shape::Unknown), |(_, reply)| reply)
    }

    /// Whether a client sends it: COM_CONNECT is inside of the server only.
    pub(super) fn is_sent(self) -> bool {
        self != Command::CONNECT && self.known().is_some()
    }
}

/// Longest statement text that is looked at; what is beyond it, a digest is told.
pub(super) const TEXT: usize = 16 * 1024;

/// How much of a command is wanted, by its first byte.
pub(super) fn want(first: u8) -> usize {
    match Command(first) {
        Command::QUERY | Command::STMT_PREPARE => TEXT,
        // User and authentication come before the schema.
        Command::CHANGE_USER => 512,
        Command::INIT_DB => 1 + 64 * 4,
        _ => 16,
    }
}
