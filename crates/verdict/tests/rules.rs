//! What the rows say of processes.

use steth_verdict::{Automaton, Image, Patterns, Row, RuleError, Rules};

fn patterns(include: &[&str], exclude: &[&str]) -> Patterns {
    let owned = |list: &[&str]| list.iter().map(|p| (*p).to_owned()).collect();
    Patterns { include: owned(include), exclude: owned(exclude) }
}

const NONE: Patterns = Patterns { include: Vec::new(), exclude: Vec::new() };

fn refused_by(rules: &Rules, image: &Image<'_>) -> Option<(Row, bool)> {
    let judgement = rules.judge(image);
    assert_eq!(judgement.selected, judgement.refused_by.is_none());
    judgement.refused_by
}

#[test]
fn rows_combine_and_what_is_excluded_beats_what_is_included() {
    let image = |executable: &'static str, command_line: &'static str| Image {
        executable: executable.as_bytes(),
        command_line: command_line.as_bytes(),
        environment: b"",
    };
    let rules =
        Rules::new(&patterns(&["^/usr/s?bin/"], &["curl$"]), &patterns(&[], &["--secret( |$)"]), &NONE).unwrap();
    for (image, expected) in [
        (image("/usr/sbin/nginx", "nginx\0-g\0daemon off;\0"), None),
        (image("/usr/bin/curl", "curl\0x\0"), Some((Row::Executable, true))),
        (image("/opt/x", "x\0"), Some((Row::Executable, false))),
        (image("/usr/bin/x", "x\0--secret\0y\0"), Some((Row::CommandLine, true))),
        (image("/usr/bin/x", "x\0--secret\0"), Some((Row::CommandLine, true))),
        (image("/usr/bin/x", "x\0--secrets\0"), None),
        (image("/usr/bin/x", ""), None),
    ] {
        assert_eq!(refused_by(&rules, &image), expected, "{image:?}");
    }
    assert!(Rules::default().is_empty() && !rules.is_empty());
    assert_eq!(refused_by(&Rules::default(), &image("", "")), None);
}

#[test]
fn a_variable_is_a_text_of_its_own() {
    let rules =
        Rules::new(&NONE, &NONE, &patterns(&["ENV=^prod", "^TEAM_.*$=a|b"], &["SKIP=^(1|yes)$", "X="])).unwrap();
    for (environment, expected) in [
        ("PATH=/bin\0ENV=prod-eu\0", None),
        ("ENV=preprod\0", Some(false)),
        ("MY_ENV=prod\0", Some(false)),
        ("A=ENV=prod\0", Some(false)),
        ("TEAM_1=xbx\0", None),
        ("TEAM_1=x\0TEAM=b\0", Some(false)),
        ("ENV=prod\0SKIP=1\0", Some(true)),
        ("ENV=prod\0SKIP=11\0", None),
        ("SKIP=yes\0ENV=prod", Some(true)),
        ("ENV=prod\0X=\0", Some(true)),
        ("EN\0V=prod\0", Some(false)),
        ("", Some(false)),
    ] {
        let image = Image { executable: b"", command_line: b"", environment: environment.as_bytes() };
        let expected = expected.map(|excludes| (Row::Environment, excludes));
        assert_eq!(refused_by(&rules, &image), expected, "{environment:?}");
    }
}

#[test]
fn what_cannot_be_used_is_named() {
    let error = |patterns: &Patterns| Rules::new(&NONE, &NONE, patterns).unwrap_err();
    assert_eq!(error(&patterns(&["ENV"], &[])), RuleError::NoVariable("ENV".into()));
    assert!(matches!(error(&patterns(&["(=)"], &[])), RuleError::Malformed { .. }), "a group over both parts");
    let malformed = Automaton::new(&["ok".into(), "a(b".into()]).unwrap_err();
    let text = malformed.to_string();
    assert!(text.contains("'a(b'") && text.contains("unclosed group"), "{text}");
    let large = Automaton::new(&["(a|b)*a(a|b){14}".into()]).unwrap_err();
    assert!(large.to_string().contains("too large"), "{large}");
    assert!(Automaton::new(&["x{1,1000}y{1,1000}z{1,1000}".into(), ".*(a.*b.*c.*d){40}".into()]).is_err());
}
