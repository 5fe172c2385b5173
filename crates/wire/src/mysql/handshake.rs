//! The connection phase: the server's greeting and the client's response ("Protocol::HandshakeV10",
//! "Protocol::HandshakeResponse41", "Protocol::SSLRequest"; MariaDB: "Connecting").
//!
//! User, authentication data and connection attributes are passed over.

use super::packet::Fields;

/// Capability flags.
pub(super) mod capability {
    /// Set by clients and servers of MySQL, not by MariaDB's, which keep further flags elsewhere.
    pub(crate) const CONNECT_WITH_DB: u32 = 1 << 3;
    pub(crate) const COMPRESS: u32 = 1 << 5;
    pub(crate) const PROTOCOL_41: u32 = 1 << 9;
    pub(crate) const SSL: u32 = 1 << 11;
    pub(crate) const SECURE_CONNECTION: u32 = 1 << 15;
    pub(crate) const AUTH_LENENC: u32 = 1 << 21;
    pub(crate) const DEPRECATE_EOF: u32 = 1 << 24;
    pub(crate) const OPTIONAL_METADATA: u32 = 1 << 25;
    pub(crate) const ZSTD: u32 = 1 << 26;
}

/// How much of a handshake response is wanted. What comes behind the schema is not.
pub(super) const WANT: usize = 1024;

/// The length of an SSLRequest, which is a handshake response that ends before the user.
const SSL_REQUEST: u32 = 32;

/// What the two ends have told each other.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Handshake {
    server: u32,
    client: u32,
    /// The greeting was MariaDB's.
    pub(super) mariadb: bool,
}

/// What a client's first packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Response<'a> {
    /// TLS begins behind it.
    Tls,
    /// It logs in, and names a schema or none.
    Login(Option<&'a [u8]>),
}

impl Handshake {
    /// Reads the greeting. False if it is none.
    pub(super) fn greeting(&mut self, payload: &[u8]) -> bool {
        let mut fields = Fields(payload);
        let (Some(10), Some(version)) = (fields.int(1), fields.terminated()) else { return false };
        // MariaDB calls itself 5.5.5 to replication clients that know no other.
        let mariadb = memchr::memmem::find(version, b"MariaDB").is_some() || version.starts_with(b"5.5.5-");
        *self = Handshake { server: 0, client: 0, mariadb };
        // Thread, first part of the nonce, filler; flags; character set, status; the other flags.
        let flags = (|| {
            fields.bytes(4 + 8 + 1)?;
            let low = fields.int(2)?;
            fields.bytes(1 + 2)?;
            Some((low | fields.int(2)? << 16) as u32)
        })();
        self.server = flags.unwrap_or(0);
        true
    }

    /// Reads the client's first packet, `length` bytes long, of which this is the beginning.
    pub(super) fn response<'a>(&mut self, payload: &'a [u8], length: u32) -> Response<'a> {
        let mut fields = Fields(payload);
        let flags = fields.int(4).unwrap_or(0) as u32;
        if flags & capability::PROTOCOL_41 == 0 {
            // "Protocol::HandshakeResponse320": 16 bits of flags. Its schema is not looked for.
            self.client = flags & 0xffff;
            return Response::Login(None);
        }
        self.client = flags;
        if flags & capability::SSL != 0 && length == SSL_REQUEST {
            return Response::Tls;
        }
        let schema = (|| {
            // Largest packet, character set, filler, user.
            fields.bytes(4 + 1 + 23)?;
            fields.terminated()?;
            if flags & capability::AUTH_LENENC != 0 {
                fields.counted()?;
            } else if flags & capability::SECURE_CONNECTION != 0 {
                let n = fields.int(1)?;
                fields.bytes(n as usize)?;
            } else {
                fields.terminated()?;
            }
            (flags & capability::CONNECT_WITH_DB != 0).then(|| fields.terminated())?
        })();
        Response::Login(schema.filter(|schema| !schema.is_empty()))
    }

    /// Whether both ends have this capability; `None` if the two were not seen.
    pub(super) fn agreed(&self, capability: u32) -> Option<bool> {
        let seen = self.server != 0 && self.client != 0;
        seen.then_some(self.server & self.client & capability != 0)
    }
}

/// COM_CHANGE_USER: the schema that it asks for.
pub(super) fn changed_schema(payload: &[u8]) -> Option<&[u8]> {
    let mut fields = Fields(payload);
    fields.bytes(1)?;
    fields.terminated()?;
    let n = fields.int(1)?;
    fields.bytes(n as usize)?;
    fields.terminated().filter(|schema| !schema.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What MariaDB 10.11 sends first.
    pub(crate) const MARIADB: &[u8] = b"\x0a5.5.5-10.11.6-MariaDB-0+deb12u1\0\x08\0\0\0abcdefgh\0\xfe\xf7\x08\x02\0\xff\x81\x15\0\0\0\0\0\0\x1d\0\0\0abcdefghijkl\0mysql_native_password\0";

    #[test]
    fn greetings() {
        let mut handshake = Handshake::default();
        assert!(handshake.greeting(MARIADB));
        assert_eq!((handshake.mariadb, handshake.server), (true, 0x81ff_f7fe));
        assert!(handshake.greeting(b"\x0a8.0.36\0\x08\0\0\0abcdefgh\0\xff\xff\xff\x02\0\xff\xdf\x15"));
        assert_eq!((handshake.mariadb, handshake.server), (false, 0xdfff_ffff));
        assert!(handshake.greeting(b"\x0a11.4.2-MariaDB\0"), "cut behind the version");
        assert_eq!((handshake.mariadb, handshake.agreed(capability::COMPRESS)), (true, None));
        for bad in [&b""[..], b"\x09old\0", b"\x0aendless"] {
            assert!(!handshake.greeting(bad));
        }
    }

    #[test]
    fn responses_name_a_schema_and_no_secret() {
        let head = |flags: u32| [&flags.to_le_bytes()[..], &[0; 28]].concat();
        let p = capability::PROTOCOL_41;
        for (flags, rest, expected) in [
            (
                p | capability::SECURE_CONNECTION | capability::CONNECT_WITH_DB,
                &b"root\0\x03abcshop\0more"[..],
                Some(&b"shop"[..]),
            ),
            (p | capability::AUTH_LENENC | capability::CONNECT_WITH_DB, b"root\0\0shop\0", Some(b"shop")),
            (p | capability::CONNECT_WITH_DB, b"root\0secret\0shop\0", Some(b"shop")),
            (p | capability::CONNECT_WITH_DB, b"root\0\0\0", None),
            (p | capability::AUTH_LENENC, b"root\0\x03abc", None),
            (p | capability::AUTH_LENENC | capability::CONNECT_WITH_DB, b"root\0\xfe", None),
            (capability::CONNECT_WITH_DB, b"anything", None),
        ] {
            let payload = [&head(flags)[..], rest].concat();
            let mut handshake = Handshake::default();
            assert_eq!(handshake.response(&payload, payload.len() as u32), Response::Login(expected));
        }
        let mut handshake = Handshake::default();
        assert_eq!(handshake.response(&head(p | capability::SSL), 32), Response::Tls);
        assert_eq!(changed_schema(b"\x11root\0\x02abshop\0!\0"), Some(&b"shop"[..]));
        assert_eq!(changed_schema(b"\x11root\0\x02ab\0"), None);
    }
}
