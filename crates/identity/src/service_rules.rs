//! Names of services that the user gives, before all others.

use crate::service::{NAME, clean};
use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use steth_event::{Container, Process};

/// What a user calls whatever all of this is found in: regular expressions, found anywhere in the text, on what is known of
/// the process and its container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServiceRule {
    /// `service.name`, at most 255 bytes.
    pub name: String,
    /// Path of the executable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executable: Option<String>,
    /// Arguments, joined with spaces; the first 512 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_line: Option<String>,
    /// systemd unit, with its suffix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Name of the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Its image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Name of the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// Its namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// The rules, in order: the first that fits names the service.
#[derive(Clone, Debug, Default)]
pub struct ServiceRules(Vec<(String, Vec<(Subject, Regex)>)>);

/// Why a rule was refused.
#[derive(Debug, thiserror::Error)]
pub enum ServiceRuleError {
    /// More than there may be.
    #[error("{0} rules; at most {max}", max = ServiceRules::MAX)]
    Many(usize),
    /// Nothing to call it.
    #[error("rule {0} has no name; give it one that is at most 255 bytes long")]
    Name(usize),
    /// It would name everything.
    #[error("rule {rule} ('{name}') looks at nothing; give it an expression for at least one of {keys}", keys = KEYS)]
    Everything {
        /// Which one, counted from one.
        rule: usize,
        /// What it would have named.
        name: String,
    },
    /// Not an expression.
    #[error("rule {rule} ('{name}'), {key}: {error}")]
    Expression {
        /// Which one, counted from one.
        rule: usize,
        /// What it names.
        name: String,
        /// Where.
        key: &'static str,
        /// What is wrong with it.
        error: Box<regex::Error>,
    },
}

const KEYS: &str = "executable, command_line, unit, container, image, pod, namespace";

#[derive(Clone, Copy, Debug)]
enum Subject {
    Executable,
    CommandLine,
    Unit,
    Container,
    Image,
    Pod,
    Namespace,
}

impl ServiceRules {
    /// Most rules.
    pub const MAX: usize = 64;
    /// Most bytes that a compiled expression may take.
    const SIZE: usize = 1 << 18;

    /// Compiles them.
    ///
    /// # Errors
    /// When there are too many, or one has no name, no expression, or one that is malformed or too large.
    pub fn new(rules: &[ServiceRule]) -> Result<Self, ServiceRuleError> {
        if rules.len() > Self::MAX {
            return Err(ServiceRuleError::Many(rules.len()));
        }
        let compile = |(at, rule): (usize, &ServiceRule)| {
            let name = clean(&rule.name).filter(|_| rule.name.len() <= NAME).ok_or(ServiceRuleError::Name(at + 1))?;
            let expressions = rule.expressions().filter_map(|(subject, key, text)| Some((subject, key, text?)));
            let expressions: Vec<_> = expressions
                .map(|(subject, key, text)| {
                    let regex = RegexBuilder::new(text).size_limit(Self::SIZE).build();
                    let error = |error| ServiceRuleError::Expression {
                        rule: at + 1,
                        name: name.clone(),
                        key,
                        error: Box::new(error),
                    };
                    Ok((subject, regex.map_err(error)?))
                })
                .collect::<Result<_, _>>()?;
            if expressions.is_empty() {
                return Err(ServiceRuleError::Everything { rule: at + 1, name });
            }
            Ok((name, expressions))
        };
        rules.iter().enumerate().map(compile).collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn name(&self, process: &Process, container: Option<&Container>) -> Option<&str> {
        let fits = |(subject, regex): &(Subject, Regex)| {
            subject.of(process, container).is_some_and(|text| regex.is_match(text))
        };
        self.0.iter().find(|(_, expressions)| expressions.iter().all(fits)).map(|(name, _)| &**name)
    }
}

impl ServiceRule {
    fn expressions(&self) -> impl Iterator<Item = (Subject, &'static str, Option<&str>)> {
        [
            (Subject::Executable, "executable", self.executable.as_deref()),
            (Subject::CommandLine, "command_line", self.command_line.as_deref()),
            (Subject::Unit, "unit", self.unit.as_deref()),
            (Subject::Container, "container", self.container.as_deref()),
            (Subject::Image, "image", self.image.as_deref()),
            (Subject::Pod, "pod", self.pod.as_deref()),
            (Subject::Namespace, "namespace", self.namespace.as_deref()),
        ]
        .into_iter()
    }
}

impl Subject {
    /// What the expression is looked for in. What there is not is not found.
    fn of<'a>(self, process: &'a Process, container: Option<&'a Container>) -> Option<&'a str> {
        let pod = || container?.pod.as_ref();
        let text = match self {
            Subject::Executable => &*process.executable,
            Subject::CommandLine => &*process.command_line,
            Subject::Unit => process.unit.as_deref()?,
            Subject::Container => &*container?.name,
            Subject::Image => &*container?.image,
            Subject::Pod => &*pod()?.name,
            Subject::Namespace => &*pod()?.namespace,
        };
        (!text.is_empty()).then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use steth_event::Pod;

    #[test]
    fn the_first_rule_that_fits_names_the_service() {
        let rule = |name: &str| ServiceRule { name: name.into(), ..ServiceRule::default() };
        let rules = [
            ServiceRule {
                command_line: Some("billing\\.jar".into()),
                namespace: Some("^prod$".into()),
                ..rule("billing")
            },
            ServiceRule { executable: Some("java$".into()), ..rule("some java") },
        ];
        let rules = ServiceRules::new(&rules).unwrap();
        let process = Process {
            executable: "/usr/bin/java".into(),
            command_line: "java -jar billing.jar".into(),
            ..Process::default()
        };
        let pod = |namespace: &str| Container {
            pod: Some(Pod { namespace: namespace.into(), ..Pod::default() }),
            ..Container::default()
        };
        assert_eq!(rules.name(&process, Some(&pod("prod"))), Some("billing"));
        assert_eq!(rules.name(&process, Some(&pod("test"))), Some("some java"), "all of a rule must fit");
        assert_eq!(rules.name(&process, None), Some("some java"));
        assert_eq!(rules.name(&Process::default(), None), None);
        for (rule, error) in [
            (rule("x"), "looks at nothing"),
            (ServiceRule { unit: Some("x".into()), ..rule(" ") }, "no name"),
            (ServiceRule { unit: Some("(".into()), ..rule("x") }, "rule 1 ('x'), unit"),
            (ServiceRule { unit: Some("\\w{1000}".into()), ..rule("x") }, "size limit"),
        ] {
            let found = ServiceRules::new(&[rule]).unwrap_err().to_string();
            assert!(found.contains(error), "{found}");
        }
    }
}
