//! The name of a service, from what is known of its process and container. docs/identity.md has the order for users.

use steth_event::{Container, Process};

/// Longest name in bytes; the rest is cut, as in the table of entities.
pub(crate) const NAME: usize = 255;

/// What the process says of itself: `OTEL_SERVICE_NAME`, else `service.name` in `OTEL_RESOURCE_ATTRIBUTES` (OpenTelemetry
/// specification, "Environment Variable Specification", which gives the former precedence). `environment` is NUL-separated.
/// Nothing else of it is kept.
pub(crate) fn declared(environment: &[u8]) -> Option<String> {
    let value = |name: &[u8]| {
        let mut variables = environment.split(|b| *b == 0);
        let value = variables.find_map(|variable| variable.strip_prefix(name)?.strip_prefix(b"="))?;
        std::str::from_utf8(value).ok()
    };
    declared_by(value(b"OTEL_SERVICE_NAME"), value(b"OTEL_RESOURCE_ATTRIBUTES"))
}

/// The same, from the values of the two variables.
#[must_use]
pub fn declared_by(name: Option<&str>, attributes: Option<&str>) -> Option<String> {
    name.and_then(clean).or_else(|| {
        let name = attributes?.split(',').find_map(|pair| pair.trim().strip_prefix("service.name=")).map(decode)?;
        clean(&name)
    })
}

/// What a process is called by itself: what it declares, its systemd unit, the program that an interpreter runs, its own name.
pub(crate) fn service(declared: Option<String>, unit: Option<&str>, program: Option<String>, name: &str) -> String {
    let unit = || unit.and_then(|unit| clean(unit.strip_suffix(".service").unwrap_or(unit)));
    declared.or_else(unit).or_else(|| program.as_deref().and_then(clean)).unwrap_or_else(|| name.to_owned())
}

/// The same, with what is known of its container: what it declares still comes first, then what its pod declares, its workload,
/// and the rest.
pub(crate) fn named(process: &Process, container: Option<&Container>) -> String {
    let of_container = |container: &Container| {
        let workload = container.workload.as_ref().map(|workload| &*workload.name);
        container.declared.as_deref().and_then(clean).or_else(|| workload.and_then(clean))
    };
    let of_container = container.filter(|_| !process.declared).and_then(of_container);
    of_container.unwrap_or_else(|| process.service_name().to_owned())
}

pub(crate) fn clean(name: &str) -> Option<String> {
    let name = name.trim();
    let name = &name[..name.floor_char_boundary(NAME)];
    (!name.is_empty()).then(|| name.replace(char::is_control, " "))
}

/// Values in `OTEL_RESOURCE_ATTRIBUTES` are percent-encoded (W3C Baggage).
fn decode(value: &str) -> String {
    let (mut out, mut rest) = (Vec::with_capacity(value.len()), value.as_bytes());
    while let [first, tail @ ..] = rest {
        let hex = |b: u8| char::from(b).to_digit(16);
        match (first, tail) {
            (b'%', [high, low, after @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                out.push((hex(*high).unwrap_or(0) * 16 + hex(*low).unwrap_or(0)) as u8);
                rest = after;
            }
            _ => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use steth_event::{Pod, Workload};

    #[test]
    fn what_a_process_declares() {
        for (environment, expected) in [
            ("PATH=/bin\0OTEL_SERVICE_NAME=cart\0", Some("cart")),
            ("OTEL_SERVICE_NAME=\0OTEL_RESOURCE_ATTRIBUTES=a=b,service.name=check%20out\0", Some("check out")),
            ("OTEL_RESOURCE_ATTRIBUTES=service.name=x\0OTEL_SERVICE_NAME=y", Some("y")),
            ("NOT_OTEL_SERVICE_NAME=x\0OTEL_SERVICE_NAME_X=y\0", None),
            ("OTEL_RESOURCE_ATTRIBUTES=service.name=50%\0", Some("50%")),
            ("OTEL_SERVICE_NAME=a\nb\0", Some("a b")),
            ("", None),
        ] {
            assert_eq!(declared(environment.as_bytes()).as_deref(), expected, "{environment:?}");
        }
        assert_eq!(declared(b"OTEL_SERVICE_NAME=\xff\0"), None);
        let long = format!("OTEL_SERVICE_NAME={}", "ä".repeat(1000));
        assert_eq!(declared(long.as_bytes()).map(|name| name.len()), Some(254), "cut between characters");
    }

    #[test]
    fn one_order_of_preference() {
        let some = |name: &str| Some(name.to_owned());
        assert_eq!(service(some("cart"), Some("shop.service"), some("app.py"), "python3.11"), "cart");
        assert_eq!(service(None, Some("shop.service"), some("app.py"), "python3.11"), "shop");
        assert_eq!(service(None, None, some("app.py"), "python3.11"), "app.py");
        assert_eq!(service(None, None, None, "nginx"), "nginx");
        let workload = Workload { kind: "Deployment".into(), name: "web".into() };
        let pod = Pod { name: "web-1".into(), namespace: "shop".into(), ..Pod::default() };
        let mut container = Container { workload: Some(workload), pod: Some(pod), ..Container::default() };
        let mut process = Process { name: "nginx".into(), service: "app.py".into(), ..Process::default() };
        assert_eq!(named(&process, None), "app.py");
        assert_eq!(named(&process, Some(&Container::default())), "app.py", "nothing is known of it");
        assert_eq!(named(&process, Some(&container)), "web");
        container.declared = some("checkout");
        assert_eq!(named(&process, Some(&container)), "checkout");
        process.declared = true;
        assert_eq!(named(&process, Some(&container)), "app.py");
    }
}
