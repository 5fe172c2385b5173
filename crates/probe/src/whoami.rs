//! What the kernel alone can say before the programs are loaded for good: who the agent is, and how long a jiffy is.

use crate::error::ProbeError;
use crate::side;
use libbpf_rs::{MapCore as _, MapFlags, ObjectBuilder, ProgramInput};

/// The number of this process in the kernel's own pid namespace, which is the one that the programs see, and jiffies per second.
pub(crate) fn whoami() -> Result<(u32, u32), ProbeError> {
    let refused = |error: libbpf_rs::Error| ProbeError::refused("to ask for the agent's process id", &error);
    let object = include_bytes!(concat!(env!("OUT_DIR"), "/whoami.bpf.o"));
    let object = ObjectBuilder::default().name("steth").and_then(|builder| builder.open_memory(object)?.load());
    let object = object.map_err(refused)?;
    let program = object.progs_mut().find(|program| program.name() == "whoami");
    let program = program.ok_or_else(|| ProbeError::broken("the object has no program whoami"))?;
    let tgid = program.test_run(ProgramInput::default()).map_err(refused)?.return_value;
    let clocks = side::map(&object, ".data.clocks")?.lookup(&0u32.to_ne_bytes(), MapFlags::ANY).map_err(refused)?;
    let [jiffies, nanoseconds] = match clocks.as_deref().map(<[u8]>::as_chunks) {
        Some(([jiffies, nanoseconds], [])) => [jiffies, nanoseconds].map(|bytes| u64::from_ne_bytes(*bytes)),
        _ => return Err(ProbeError::broken("two clocks are not what whoami has read")),
    };
    Ok((tgid, jiffies_per_second(jiffies, nanoseconds)))
}

/// How many jiffies a second has (CONFIG_HZ), which nothing tells: they count from five minutes before they overflow 32 bits
/// (INITIAL_JIFFIES), since about when the monotonic clock began. 0: none of the values that a kernel can be built with fits.
fn jiffies_per_second(jiffies: u64, nanoseconds: u64) -> u32 {
    let passed = |hz: u64| i128::from(jiffies) - (1 << 32) + 300 * i128::from(hz);
    let off = |hz: u64| (passed(hz) * 1_000_000_000 - i128::from(nanoseconds) * i128::from(hz)).unsigned_abs();
    let near = |hz: &u64| off(*hz) < u128::from(nanoseconds) * u128::from(*hz) / 50 + 2_000_000_000 * u128::from(*hz);
    let best = [100, 250, 300, 1000].into_iter().filter(near).min_by_key(|hz| off(*hz) / u128::from(*hz));
    best.map_or(0, |hz| hz as u32)
}

/// How long one is, as the kernel rounds it (`TICK_NSEC`); 0: not known.
pub(crate) fn jiffy_ns(per_second: u32) -> u32 {
    (1_000_000_000 + per_second / 2).checked_div(per_second).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jiffy_is_as_long_as_the_kernel_says() {
        assert_eq!([0, 100, 250, 300, 1000].map(jiffy_ns), [0, 10_000_000, 4_000_000, 3_333_333, 1_000_000]);
    }

    #[test]
    fn a_jiffy_is_told_from_how_many_there_have_been() {
        for hz in [100, 250, 300, 1000] {
            for uptime in [20, 280, 320, 86_400, 300 * 86_400] {
                let jiffies = (1 << 32) - 300 * hz + uptime * hz;
                assert_eq!(u64::from(jiffies_per_second(jiffies, uptime * 1_000_000_000)), hz, "up for {uptime} s");
            }
        }
        assert_eq!(jiffies_per_second(0, 86_400_000_000_000), 0);
    }
}
