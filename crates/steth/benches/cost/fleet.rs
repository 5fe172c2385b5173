//! Many connections that have made one exchange each and stay open.

use crate::generator::read_answer;
use crate::servers::Server;
use std::io::Write as _;
use std::net::TcpStream;

/// Opens them, one after the other.
pub(crate) fn open(server: &Server, count: usize) -> anyhow::Result<Vec<TcpStream>> {
    (0..count)
        .map(|_| {
            let mut stream = TcpStream::connect(("127.0.0.1", server.port))?;
            stream.write_all(server.workload.request())?;
            read_answer(&mut stream)?;
            Ok(stream)
        })
        .collect()
}
