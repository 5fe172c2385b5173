//! What the rows say of processes.

use steth_verdict::{Automaton, ContainerFacts, Image, Patterns, Row, Rows, RuleError, Rules};

fn patterns(include: &[&str], exclude: &[&str]) -> Patterns {
    let owned = |list: &[&str]| list.iter().map(|p| (*p).to_owned()).collect();
    Patterns { include: owned(include), exclude: owned(exclude) }
}

fn environment(patterns: &Patterns) -> Result<Rules, RuleError> {
    Rules::new(&Rows { environment: patterns.clone(), ..Rows::default() })
}

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
    let rules = Rules::new(&Rows {
        executable: patterns(&["^/usr/s?bin/"], &["curl$"]),
        command_line: patterns(&[], &["--secret( |$)"]),
        ..Rows::default()
    })
    .unwrap();
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
    let rules = environment(&patterns(&["ENV=^prod", "^TEAM_.*$=a|b"], &["SKIP=^(1|yes)$", "X="])).unwrap();
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
    let error = |patterns: &Patterns| environment(patterns).unwrap_err();
    assert_eq!(error(&patterns(&["ENV"], &[])), RuleError::NoVariable("ENV".into()));
    assert!(matches!(error(&patterns(&["(=)"], &[])), RuleError::Malformed { .. }), "a group over both parts");
    let malformed = Automaton::new(&["ok".into(), "a(b".into()]).unwrap_err();
    let text = malformed.to_string();
    assert!(text.contains("'a(b'") && text.contains("unclosed group"), "{text}");
    let large = Automaton::new(&["(a|b)*a(a|b){14}".into()]).unwrap_err();
    assert!(large.to_string().contains("too large"), "{large}");
    assert!(Automaton::new(&["x{1,1000}y{1,1000}z{1,1000}".into(), ".*(a.*b.*c.*d){40}".into()]).is_err());
}

#[test]
fn a_container_is_judged_by_what_it_is_called() {
    let facts = ContainerFacts {
        name: Some("cart".into()),
        image: Some("registry.example/shop/cart:1.2".into()),
        pod: Some("cart-5d9c7-x2".into()),
        namespace: Some("shop".into()),
        labels: vec![("app".into(), "cart".into()), ("tier".into(), "front=end".into())],
    };
    let bare = ContainerFacts { name: Some("db".into()), ..ContainerFacts::default() };
    let cases: [(Row, Patterns, [bool; 3]); 12] = [
        (Row::Container, patterns(&["^cart$", "^db$"], &[]), [true, true, false]),
        (Row::Container, patterns(&[], &["^cart$"]), [false, true, true]),
        (Row::Container, patterns(&["c", "d"], &["ar"]), [false, true, false]),
        (Row::Image, patterns(&["/shop/[a-z]+:1\\."], &[]), [true, false, false]),
        (Row::Pod, patterns(&["^cart-"], &[]), [true, false, false]),
        (Row::Namespace, patterns(&["^shop$"], &[]), [true, false, false]),
        (Row::Namespace, patterns(&[], &["^shop$"]), [false, true, true]),
        (Row::Namespace, patterns(&["^$"], &[]), [false, false, false]),
        (Row::Label, patterns(&["app=^cart$"], &[]), [true, false, false]),
        (Row::Label, patterns(&["ap=cart", "app=^art"], &[]), [false, false, false]),
        (Row::Label, patterns(&["tier=t=e"], &[]), [true, false, false]),
        (Row::Label, patterns(&[], &["tier=."]), [false, true, true]),
    ];
    for (row, of_row, [first, second, outside]) in cases {
        let mut rows = Rows::default();
        rows.of_mut(row).clone_from(&of_row);
        let rules = Rules::new(&rows).unwrap();
        assert!(rules.have_containers() && rules.tables().all(|table| table.is_none()));
        let judged = [rules.judge_container(&facts), rules.judge_container(&bare), rules.judge_outside()];
        assert_eq!(judged.map(|judgement| judgement.selected), [first, second, outside], "{row:?} {of_row:?}");
        for judgement in judged.iter().filter(|judgement| !judgement.selected) {
            assert_eq!(judgement.refused_by.map(|(row, _)| row), Some(row));
        }
        let image = Image { executable: b"", command_line: b"", environment: b"" };
        assert!(rules.judge(&image).selected, "the rows of processes have nothing to say");
    }
}
