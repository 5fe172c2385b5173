//! The load generator: one thread, one epoll, sixteen connections with one exchange under way on each.

use crate::load::Done;
use crate::servers::Workload;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// First argument of the process that is this generator.
pub(crate) const COMMAND: &str = "generate";

const CONNECTIONS: usize = 16;
/// What epoll says of the timer.
const TIMER: u64 = CONNECTIONS as u64;

/// `generate WORKLOAD PORT RATE SECONDS`; rate 0: the highest. Prints what it did as JSON.
pub(crate) fn main(arguments: &[String]) -> anyhow::Result<()> {
    let [workload, port, rate, seconds] = arguments else { anyhow::bail!("{COMMAND} WORKLOAD PORT RATE SECONDS") };
    let workload = Workload::GENERATED.into_iter().find(|known| known.name() == workload);
    let workload = workload.ok_or_else(|| anyhow::anyhow!("no such workload"))?;
    let mut load = Load::open(workload, port.parse()?)?;
    let rate: u32 = rate.parse()?;
    let length = Duration::from_secs_f64(seconds.parse()?);
    let (seconds, mut latencies) = if rate == 0 { load.highest(length)? } else { load.fixed(rate, length)? };
    anyhow::ensure!(!latencies.is_empty(), "no exchange in {length:?}");
    let measured = latencies.len();
    let (_, p99, _) = latencies.select_nth_unstable((measured * 99 / 100).min(measured - 1));
    let done = Done {
        exchanges: (measured + CONNECTIONS) as u64,
        rate: measured as f64 / seconds,
        latency: f64::from(*p99) / 1000.0,
    };
    println!("{}", serde_json::to_string(&done)?);
    Ok(())
}

struct Connection {
    stream: TcpStream,
    /// When the request that is under way was due.
    due: Instant,
    received: usize,
}

struct Load {
    request: &'static [u8],
    /// Bytes of every answer.
    answer: usize,
    connections: Vec<Connection>,
    epoll: Epoll,
    buffer: Vec<u8>,
}

impl Load {
    /// Connects, and makes one exchange on each connection.
    fn open(workload: Workload, port: u16) -> anyhow::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let mut load =
            Self { request: workload.request(), answer: 0, connections: Vec::new(), epoll, buffer: vec![0; 16 * 1024] };
        for n in 0..CONNECTIONS {
            let mut stream = TcpStream::connect(("127.0.0.1", port))?;
            stream.set_nodelay(true)?;
            stream.write_all(load.request)?;
            let answer = read_answer(&mut stream)?;
            anyhow::ensure!(n == 0 || answer == load.answer, "answers of {answer} and of {} bytes", load.answer);
            load.answer = answer;
            load.epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, n as u64))?;
            load.connections.push(Connection { stream, due: Instant::now(), received: 0 });
        }
        Ok(load)
    }

    fn send(&mut self, n: usize, due: Instant) -> anyhow::Result<()> {
        let connection = &mut self.connections[n];
        (connection.due, connection.received) = (due, 0);
        Ok(connection.stream.write_all(self.request)?)
    }

    /// Reads what is there. The exchange's nanoseconds, if this was the last of its answer.
    fn receive(&mut self, n: usize) -> anyhow::Result<Option<u32>> {
        let connection = &mut self.connections[n];
        let got = connection.stream.read(&mut self.buffer)?;
        anyhow::ensure!(got > 0, "the server has closed a connection");
        connection.received += got;
        anyhow::ensure!(connection.received <= self.answer, "more than an answer's {} bytes", self.answer);
        let whole = connection.received == self.answer;
        Ok(whole.then(|| u32::try_from(connection.due.elapsed().as_nanos()).unwrap_or(u32::MAX)))
    }

    /// As fast as it goes. Seconds, and the nanoseconds of each exchange.
    fn highest(&mut self, length: Duration) -> anyhow::Result<(f64, Vec<u32>)> {
        let mut latencies = Vec::with_capacity(1 << 20);
        let mut events = [EpollEvent::empty(); CONNECTIONS];
        let begun = Instant::now();
        for n in 0..CONNECTIONS {
            self.send(n, Instant::now())?;
        }
        let mut outstanding = CONNECTIONS;
        while outstanding > 0 {
            let ready = self.epoll.wait(&mut events, EpollTimeout::NONE)?;
            let going_on = begun.elapsed() < length;
            for event in &events[..ready] {
                let n = event.data() as usize;
                if let Some(latency) = self.receive(n)? {
                    latencies.push(latency);
                    if going_on {
                        self.send(n, Instant::now())?;
                    } else {
                        outstanding -= 1;
                    }
                }
            }
        }
        Ok((begun.elapsed().as_secs_f64(), latencies))
    }

    /// So many a second. An exchange that is due while all connections are busy waits, and its wait counts.
    fn fixed(&mut self, rate: u32, length: Duration) -> anyhow::Result<(f64, Vec<u32>)> {
        let interval = Duration::from_secs(1) / rate;
        let total = (length.as_nanos() / interval.as_nanos()) as u32;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::empty())?;
        timer.set(Expiration::Interval(TimeSpec::from_duration(interval)), TimerSetTimeFlags::empty())?;
        self.epoll.add(&timer, EpollEvent::new(EpollFlags::EPOLLIN, TIMER))?;

        let mut latencies = Vec::with_capacity(total as usize);
        let mut events = [EpollEvent::empty(); CONNECTIONS + 1];
        let mut idle: VecDeque<usize> = (0..CONNECTIONS).collect();
        let (begun, mut next) = (Instant::now(), 0);
        while latencies.len() < total as usize {
            let ready = self.epoll.wait(&mut events, EpollTimeout::NONE)?;
            for event in &events[..ready] {
                if event.data() == TIMER {
                    timer.wait()?;
                } else if let Some(latency) = self.receive(event.data() as usize)? {
                    latencies.push(latency);
                    idle.push_back(event.data() as usize);
                }
            }
            let now = begun.elapsed();
            while next < total
                && interval * next <= now
                && let Some(n) = idle.pop_front()
            {
                self.send(n, begun + interval * next)?;
                next += 1;
            }
        }
        Ok((begun.elapsed().as_secs_f64(), latencies))
    }
}

/// Reads one answer to its end, and checks that it is a good one. Its length.
pub(crate) fn read_answer(stream: &mut TcpStream) -> anyhow::Result<usize> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let got = stream.read(&mut buffer)?;
        anyhow::ensure!(got > 0, "the server has closed a connection");
        bytes.extend_from_slice(&buffer[..got]);
        let text = std::str::from_utf8(&bytes)?;
        let whole = if let Some(rest) = text.strip_prefix('$') {
            let digits = rest.split_once("\r\n").map(|(digits, _)| digits);
            digits.map(|digits| anyhow::Ok(1 + digits.len() + 2 + digits.parse::<usize>()? + 2)).transpose()?
        } else if let Some((head, _)) = text.split_once("\r\n\r\n") {
            anyhow::ensure!(head.starts_with("HTTP/1.1 200 "), "the server answers {head}");
            let body = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
            let body = body.ok_or_else(|| anyhow::anyhow!("an answer without a length: {head}"))?;
            Some(head.len() + 4 + body.parse::<usize>()?)
        } else {
            None
        };
        if let Some(whole) = whole
            && bytes.len() >= whole
        {
            anyhow::ensure!(bytes.len() == whole, "more than one answer");
            return Ok(whole);
        }
    }
}
