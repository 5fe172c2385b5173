//! The bytes of a question and of its answer (linux/netlink.h, linux/netfilter/nfnetlink_conntrack.h). All numbers are the machine's
//! own, but ports and addresses are the network's.

use crate::{Answer, Transport, Tuple};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// `NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET`.
const GET: u16 = 1 << 8 | 1;
/// The same with `IPCTNL_MSG_CT_NEW`: what an answer is.
const NEW: u16 = 1 << 8;
/// `NLMSG_ERROR`.
const ERROR: u16 = 2;
/// `NLM_F_REQUEST`.
const REQUEST: u16 = 1;
const ENOENT: i32 = 2;
const EPERM: i32 = 1;

/// `struct nlmsghdr`, and `struct nfgenmsg` behind it.
const HEAD: usize = 16;
const FAMILY: usize = 4;

const TUPLE_ORIGINAL: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const TUPLE_IP: u16 = 1;
const TUPLE_PROTOCOL: u16 = 2;
/// Source and destination.
const IPV4: [u16; 2] = [1, 2];
const IPV6: [u16; 2] = [3, 4];
const PROTOCOL_NUMBER: u16 = 1;
const PORTS: [u16; 2] = [2, 3];
/// `NLA_F_NESTED`; with the other flag it is no part of the type.
const NESTED: u16 = 1 << 15;
const TYPE: u16 = 0x3fff;

/// The question; `None` if the two ends are of different families.
pub(crate) fn question(sequence: u32, tuple: &Tuple) -> Option<Vec<u8>> {
    let mut ip = Vec::with_capacity(40);
    let family = match (tuple.client.ip(), tuple.server.ip()) {
        (IpAddr::V4(client), IpAddr::V4(server)) => {
            attribute(&mut ip, IPV4[0], &client.octets());
            attribute(&mut ip, IPV4[1], &server.octets());
            2
        }
        (IpAddr::V6(client), IpAddr::V6(server)) => {
            attribute(&mut ip, IPV6[0], &client.octets());
            attribute(&mut ip, IPV6[1], &server.octets());
            10
        }
        _ => return None,
    };
    let mut protocol = Vec::with_capacity(24);
    attribute(&mut protocol, PROTOCOL_NUMBER, &[tuple.transport as u8]);
    attribute(&mut protocol, PORTS[0], &tuple.client.port().to_be_bytes());
    attribute(&mut protocol, PORTS[1], &tuple.server.port().to_be_bytes());
    let mut both = Vec::with_capacity(72);
    attribute(&mut both, TUPLE_IP | NESTED, &ip);
    attribute(&mut both, TUPLE_PROTOCOL | NESTED, &protocol);
    let mut message = vec![0; HEAD];
    message.extend_from_slice(&[family, 0, 0, 0]);
    attribute(&mut message, TUPLE_ORIGINAL | NESTED, &both);
    let length = message.len() as u32;
    message[..4].copy_from_slice(&length.to_ne_bytes());
    message[4..6].copy_from_slice(&GET.to_ne_bytes());
    message[6..8].copy_from_slice(&REQUEST.to_ne_bytes());
    message[8..12].copy_from_slice(&sequence.to_ne_bytes());
    Some(message)
}

fn attribute(to: &mut Vec<u8>, kind: u16, value: &[u8]) {
    to.extend_from_slice(&(4 + value.len() as u16).to_ne_bytes());
    to.extend_from_slice(&kind.to_ne_bytes());
    to.extend_from_slice(value);
    to.resize(to.len().next_multiple_of(4), 0);
}

/// Who may not ask.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotPermitted;

/// What a message says of the question with this number; `None`: it is the answer to another one.
pub(crate) fn answer(message: &[u8], sequence: u32, asked: &Tuple) -> Result<Option<Answer>, NotPermitted> {
    let Some((head, rest)) = message.split_first_chunk::<HEAD>() else { return Ok(Some(Answer::Failed)) };
    let [l0, l1, l2, l3, t0, t1, _, _, s0, s1, s2, s3, ..] = *head;
    if u32::from_ne_bytes([s0, s1, s2, s3]) != sequence {
        return Ok(None);
    }
    let length = u32::from_ne_bytes([l0, l1, l2, l3]) as usize;
    let Some(rest) = length.checked_sub(HEAD).and_then(|length| rest.get(..length)) else {
        return Ok(Some(Answer::Failed));
    };
    Ok(Some(match u16::from_ne_bytes([t0, t1]) {
        ERROR => match rest.first_chunk().map(|error| i32::from_ne_bytes(*error).wrapping_neg()) {
            Some(ENOENT) => Answer::Untracked,
            Some(EPERM) => return Err(NotPermitted),
            _ => Answer::Failed,
        },
        NEW => rest.get(FAMILY..).and_then(|attributes| entry(attributes, asked)).unwrap_or(Answer::Failed),
        _ => Answer::Failed,
    }))
}

/// What an entry says; `None` if it makes no sense, or is that of another connection.
fn entry(attributes: &[u8], asked: &Tuple) -> Option<Answer> {
    let tuple = |kind| find(attributes, kind).and_then(tuple);
    let (original, reply) = (tuple(TUPLE_ORIGINAL)?, tuple(TUPLE_REPLY)?);
    if original != *asked || reply.transport != asked.transport {
        return None;
    }
    // What comes back comes from the server to whom it takes for its client.
    let (server, client) = (reply.client, reply.server);
    Some(if server == asked.server { Answer::AsItIs } else { Answer::Rewritten { server, client } })
}

/// Source as client, destination as server.
fn tuple(attributes: &[u8]) -> Option<Tuple> {
    let (ip, protocol) = (find(attributes, TUPLE_IP)?, find(attributes, TUPLE_PROTOCOL)?);
    let address = |which: usize| {
        let v4 = || Some(IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(find(ip, IPV4[which])?).ok()?)));
        let v6 = || Some(IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(find(ip, IPV6[which])?).ok()?)));
        v4().or_else(v6)
    };
    let port = |which: usize| Some(u16::from_be_bytes(find(protocol, PORTS[which])?.try_into().ok()?));
    let transport = match find(protocol, PROTOCOL_NUMBER)? {
        [6] => Transport::Tcp,
        [17] => Transport::Udp,
        _ => return None,
    };
    Some(Tuple {
        transport,
        client: SocketAddr::new(address(0)?, port(0)?),
        server: SocketAddr::new(address(1)?, port(1)?),
    })
}

/// The value of the first attribute of this type. Behind one whose length makes no sense there is nothing.
fn find(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let [l0, l1, t0, t1] = *attributes.first_chunk()?;
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let value = attributes.get(4..length)?;
        if u16::from_ne_bytes([t0, t1]) & TYPE == wanted {
            return Some(value);
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests;
