//! Follows a cluster and says whose addresses are: `whose [--url URL | --kubeconfig FILE] [IP[:PORT] …]`, each second until
//! it is interrupted. Without an option the cluster is found as the agent finds it.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};
use steth_kubernetes::{Access, Limits, Scope, State, Transport, Watcher};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1).peekable();
    let access = match words.peek().map(String::as_str) {
        Some("--url") => Access::Url(words.nth(1).ok_or("--url: which?")?),
        Some("--kubeconfig") => Access::Kubeconfig(words.nth(1).ok_or("--kubeconfig: which?")?.into()),
        _ => Access::Discover,
    };
    let asked: Vec<String> = words.collect();
    let watcher = Watcher::start(access, Scope::Cluster, Limits::default())?;
    let directory = watcher.directory();
    loop {
        std::thread::sleep(Duration::from_secs(1));
        let now = u64::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_nanos())?;
        println!("{:?}, generation {}, kept {:?}", directory.state(), directory.generation(), directory.sizes());
        for resource in directory.resources().iter().filter(|resource| resource.error.is_some()) {
            println!("  {} {:?}: {}", resource.resource, resource.following, resource.error.as_deref().unwrap_or(""));
        }
        for text in &asked {
            let owner = match text.parse::<SocketAddr>() {
                Ok(address) => directory.resolve_port(address.ip(), address.port(), Transport::Tcp, now),
                Err(_) => directory.resolve(text.parse::<IpAddr>()?, now),
            };
            println!("  {text}: {owner:?}");
        }
        if matches!(directory.state(), State::Absent | State::Unusable(_) | State::Stopped) {
            return Ok(());
        }
    }
}
