//! What is told of a container, and within which bounds.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// Bytes of a name, an image or an id of another kind that are kept.
pub const NAME_BYTES: usize = 256;
/// Labels of a container or pod, and variables of a container, that are kept.
pub const PAIRS: usize = 64;
/// Bytes of a label's or a variable's name that are kept. Kubernetes allows 253 + 1 + 63.
pub const KEY_BYTES: usize = 320;
/// Bytes of a label's or a variable's value that are kept. Kubernetes allows 63 in a label.
pub const VALUE_BYTES: usize = 512;
/// Bytes of all labels of a container or pod, or all its variables, that are kept, names and values together.
pub const PAIRS_BYTES: usize = 8192;

/// A container that one of the runtimes knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// 64 hexadecimal digits.
    pub id: Box<str>,
    /// Of a CRI container its name in the pod, of a CRI sandbox that of the pod, else what the runtime calls it.
    pub name: Box<str>,
    /// As the runtime names it: with registry and tag if it has them, else a digest. Empty for sandboxes of the CRI.
    pub image: Box<str>,
    /// How the runtime calls itself: `containerd`, `cri-o`, `docker`, `podman`.
    pub runtime: Arc<str>,
    /// The user whose runtime this is; 0 is the system's. Another user's runtime can say of containers what it wants.
    pub user: u32,
    /// The Kubernetes pod that it is part of.
    pub pod: Option<Arc<Pod>>,
    /// At most [`PAIRS`].
    pub labels: Pairs,
    /// Those variables that the settings name, and no others.
    pub environment: Pairs,
    /// It holds the pod's namespaces and runs no workload: a pause container.
    pub sandbox: bool,
}

/// A Kubernetes pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Its name in the namespace.
    pub name: Box<str>,
    /// Its namespace.
    pub namespace: Box<str>,
    /// Its uid in Kubernetes; of a static pod the digest of its manifest.
    pub uid: Box<str>,
    /// At most [`PAIRS`]. Empty where only the labels of the container told of the pod.
    pub labels: Pairs,
}

/// Names and values, sorted by name, within bounds.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Pairs(Box<[(Box<str>, Box<str>)]>);

impl Pairs {
    /// The value of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let place = self.0.binary_search_by(|(key, _)| (**key).cmp(name)).ok()?;
        Some(&self.0[place].1)
    }

    /// All, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Pairs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Cuts what is too long, and remembers that it did.
#[derive(Debug, Default)]
pub(crate) struct Bounds {
    pub(crate) truncated: bool,
}

impl Bounds {
    pub(crate) fn name(&mut self, name: &str) -> Box<str> {
        self.cut(name, NAME_BYTES).into()
    }

    pub(crate) fn lossy(&mut self, name: &[u8]) -> Box<str> {
        // Cut first: a copy of megabytes is not needed to keep 256 of them.
        let end = name.len().min(NAME_BYTES + 4);
        self.name(&String::from_utf8_lossy(&name[..end]))
    }

    fn cut<'a>(&mut self, text: &'a str, maximum: usize) -> &'a str {
        if text.len() <= maximum {
            return text;
        }
        self.truncated = true;
        &text[..text.floor_char_boundary(maximum)]
    }
}

/// Collects names and values until the bounds are reached. Of a name that comes twice the first value stays.
#[derive(Default)]
pub(crate) struct Collected {
    pairs: Vec<(Box<str>, Box<str>)>,
    bytes: usize,
}

impl Collected {
    pub(crate) fn push(&mut self, bounds: &mut Bounds, name: &str, value: &str) {
        let (name, value) = (bounds.cut(name, KEY_BYTES), bounds.cut(value, VALUE_BYTES));
        let bytes = self.bytes + name.len() + value.len();
        if self.pairs.len() >= PAIRS || bytes > PAIRS_BYTES {
            bounds.truncated = true;
            return;
        }
        self.bytes = bytes;
        self.pairs.push((name.into(), value.into()));
    }

    pub(crate) fn push_lossy(&mut self, bounds: &mut Bounds, name: &[u8], value: &[u8]) {
        let text = |bytes: &[u8], maximum: usize| -> String {
            String::from_utf8_lossy(&bytes[..bytes.len().min(maximum + 4)]).into_owned()
        };
        self.push(bounds, &text(name, KEY_BYTES), &text(value, VALUE_BYTES));
    }

    pub(crate) fn pairs(mut self) -> Pairs {
        self.pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.pairs.dedup_by(|(a, _), (b, _)| a == b);
        Pairs(self.pairs.into())
    }
}

/// The pod that the kubelet's labels on a container name: how dockershim, cri-dockerd and others below Docker's API say it.
/// <https://github.com/kubernetes/kubernetes/blob/v1.29.0/pkg/kubelet/types/labels.go>
pub(crate) fn pod_of_labels<'a>(
    bounds: &mut Bounds,
    label: impl Fn(&str) -> Option<Cow<'a, str>>,
) -> Option<(Pod, Option<Box<str>>)> {
    let name = label("io.kubernetes.pod.name")?;
    let mut text = |key: &str| bounds.name(&label(key).unwrap_or_default());
    let (namespace, uid) = (text("io.kubernetes.pod.namespace"), text("io.kubernetes.pod.uid"));
    let container = label("io.kubernetes.container.name").map(|name| bounds.name(&name));
    Some((Pod { name: bounds.name(&name), namespace, uid, labels: Pairs::default() }, container))
}

/// 64 lower-case hexadecimal digits, as every runtime writes them.
pub(crate) fn is_id(id: &str) -> bool {
    id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_stay_within_their_bounds_and_are_found_by_name() {
        let mut bounds = Bounds::default();
        let mut collected = Collected::default();
        for n in (0..64).rev() {
            collected.push(&mut bounds, &format!("k{n}"), "v");
        }
        assert!(!bounds.truncated);
        collected.push(&mut bounds, "k64", "v");
        assert!(bounds.truncated, "too many");
        let pairs = collected.pairs();
        assert_eq!((pairs.len(), pairs.get("k7"), pairs.get("k64")), (64, Some("v"), None));

        let mut bounds = Bounds::default();
        let mut collected = Collected::default();
        collected.push(&mut bounds, "a", &"ä".repeat(300));
        assert!(bounds.truncated, "too long");
        for n in 0..40 {
            collected.push(&mut bounds, &format!("b{n}"), &"x".repeat(512));
        }
        let pairs = collected.pairs();
        assert_eq!(pairs.get("a").map(str::len), Some(512), "cut between characters");
        let bytes: usize = pairs.iter().map(|(name, value)| name.len() + value.len()).sum();
        assert!((7_000..=PAIRS_BYTES).contains(&bytes), "{bytes}");
    }

    #[test]
    fn of_a_name_that_comes_twice_the_first_value_stays() {
        let (mut bounds, mut collected) = (Bounds::default(), Collected::default());
        collected.push_lossy(&mut bounds, b"a", b"1");
        collected.push_lossy(&mut bounds, b"a", b"2\xff");
        let pairs = collected.pairs();
        assert_eq!(pairs.iter().collect::<Vec<_>>(), [("a", "1")]);
    }

    #[test]
    fn ids_are_64_hexadecimal_digits() {
        assert!(is_id(&"0a".repeat(32)));
        for bad in ["", "0a", &"0A".repeat(32), &"0g".repeat(32), &"0a".repeat(33), "../../etc/passwd"] {
            assert!(!is_id(bad), "{bad}");
        }
    }
}
