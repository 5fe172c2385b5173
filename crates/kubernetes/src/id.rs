//! Identities: of an object of the API, and of a container.

use std::fmt;

/// The `metadata.uid` of an object: a UUID, or the 32 hexadecimal digits that a kubelet makes for a static pod.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uid(u128);

impl Uid {
    /// Reads 32 hexadecimal digits, with dashes or without (systemd's cgroup names have underscores); `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > 36 {
            return None;
        }
        let (mut value, mut digits) = (0u128, 0);
        for c in text.chars().filter(|c| *c != '-' && *c != '_') {
            value = value << 4 | u128::from(c.to_digit(16)?);
            digits += 1;
        }
        (digits == 32).then_some(Self(value))
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = format!("{:032x}", self.0);
        write!(f, "{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }
}

impl fmt::Debug for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The id that a runtime gave a container: 256 bits, written as 64 hexadecimal digits by containerd, CRI-O and dockershim.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContainerId([u8; 32]);

impl ContainerId {
    /// Reads 64 hexadecimal digits, with the runtime's scheme before them (`containerd://…`) or without.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.rsplit_once("://").map_or(text, |(_, id)| id).as_bytes();
        let mut id = [0; 32];
        if digits.len() != 64 {
            return None;
        }
        for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |d: u8| char::from(d).to_digit(16).and_then(|d| u8::try_from(d).ok());
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self(id))
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_of_the_api_of_static_pods_and_of_cgroups() {
        let uid = Uid::parse("eec7213b-416f-41e5-ad31-377cd76c5b9c").expect("a UUID");
        assert_eq!(uid.to_string(), "eec7213b-416f-41e5-ad31-377cd76c5b9c");
        assert_eq!(Uid::parse("eec7213b416f41e5ad31377cd76c5b9c"), Some(uid));
        assert_eq!(Uid::parse("eec7213b_416f_41e5_ad31_377cd76c5b9c"), Some(uid));
        for bad in ["", "eec7213b", "zec7213b-416f-41e5-ad31-377cd76c5b9c", &"0".repeat(33), &"-".repeat(36)] {
            assert_eq!(Uid::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn container_ids_with_and_without_a_scheme() {
        let hex = "215953242fb6216f6036278b1525cc3fbf47c03b624f0ece3e69e7f531649451";
        let id = ContainerId::parse(&format!("containerd://{hex}")).expect("an id");
        assert_eq!((id.to_string().as_str(), ContainerId::parse(hex)), (hex, Some(id)));
        for bad in ["", "containerd://", "docker://abc", &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(ContainerId::parse(bad), None, "{bad}");
        }
    }
}
