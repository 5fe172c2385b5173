//! Which program an interpreter runs: `java -jar shop.jar`, `python3 app.py` and `node server.js` are three services, not
//! one called "java", "python3" or "node".
//!
//! Read is the command line, by the rules of each interpreter's own manual as far as they decide where its options end and
//! the program begins. An option that is not known and takes a value in a word of its own would be taken for the program;
//! so the tables have all that java(1), python(1), node(1), ruby(1), perl(1), php(1), deno(1) and the shells name.

/// How an interpreter's command line is read.
struct Interpreter {
    /// File names of the executable, without what a version adds.
    names: &'static [&'static str],
    /// The next word is the program, whatever it looks like: a file, or a module.
    program: &'static [&'static str],
    /// The next word is the option's value.
    value: &'static [&'static str],
    /// There is no program: its text is in the command line.
    inline: &'static [&'static str],
    /// Words before the program that are neither options nor the program.
    verbs: &'static [&'static str],
}

const INTERPRETERS: [Interpreter; 9] = [
    Interpreter {
        names: &["java"],
        program: &["-jar", "-m", "--module"],
        value: &[
            "-cp",
            "-classpath",
            "--class-path",
            "-p",
            "--module-path",
            "--upgrade-module-path",
            "--add-modules",
            "--add-exports",
            "--add-opens",
            "--add-reads",
            "--limit-modules",
            "--patch-module",
            "--enable-native-access",
            "--source",
            "-d",
            "--describe-module",
        ],
        inline: &[],
        verbs: &[],
    },
    Interpreter {
        names: &["python", "pypy"],
        program: &["-m"],
        value: &["-W", "-X", "--check-hash-based-pycs"],
        inline: &["-c", "-"],
        verbs: &[],
    },
    Interpreter {
        names: &["node", "nodejs"],
        program: &[],
        value: &[
            "-r",
            "--require",
            "--import",
            "--loader",
            "--experimental-loader",
            "-C",
            "--conditions",
            "--title",
            "--env-file",
            "--icu-data-dir",
            "--openssl-config",
        ],
        inline: &["-e", "--eval", "-p", "--print", "-pe", "-"],
        verbs: &[],
    },
    Interpreter { names: &["ruby"], program: &[], value: &["-r", "-I", "-C", "-E"], inline: &["-e"], verbs: &[] },
    Interpreter { names: &["perl"], program: &[], value: &[], inline: &["-e", "-E"], verbs: &[] },
    Interpreter {
        names: &["php"],
        program: &["-f"],
        value: &["-d", "-c", "-S", "-t", "-z"],
        inline: &["-r", "-R", "-B", "-E"],
        verbs: &[],
    },
    Interpreter {
        names: &["deno", "bun"],
        program: &[],
        value: &["--config", "-c", "--import-map", "-r", "--preload"],
        inline: &["eval", "-e", "--eval", "-p"],
        verbs: &["run", "serve"],
    },
    Interpreter { names: &["dotnet"], program: &["exec"], value: &[], inline: &["run", "watch"], verbs: &[] },
    Interpreter {
        names: &["bash", "sh", "dash", "ash"],
        program: &[],
        value: &["-o", "-O"],
        inline: &["-c", "-s"],
        verbs: &[],
    },
];

/// What the interpreter runs: the file name of a script, jar or library, or the name of a module or class. `None` where the
/// executable is no interpreter, or the command line does not tell. `arguments` are separated by NUL, the first is the
/// name by which the executable was called.
pub(crate) fn program(executable: &str, arguments: &[u8]) -> Option<String> {
    let file = executable.rsplit('/').next().unwrap_or_default();
    let name = file.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-'));
    let interpreter = INTERPRETERS.iter().find(|interpreter| interpreter.names.contains(&name))?;
    let mut words = arguments.split(|b| *b == 0).skip(1);
    let word = loop {
        let word = std::str::from_utf8(words.next()?).ok()?;
        if interpreter.inline.contains(&word) {
            return None;
        } else if interpreter.program.contains(&word) {
            break std::str::from_utf8(words.next()?).ok()?;
        } else if interpreter.value.contains(&word) {
            words.next()?;
        } else if !word.starts_with(['-', '+', '@']) && !word.is_empty() && !interpreter.verbs.contains(&word) {
            break word;
        }
    };
    // A Java module is given with its main class; a class is no path, and its dots are no suffix.
    let word = word.trim_end_matches('/').rsplit('/').next()?;
    (!word.is_empty()).then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::program;

    #[test]
    fn the_program_and_not_its_interpreter() {
        for (executable, command_line, expected) in [
            ("/usr/lib/jvm/java-17/bin/java", "java -Xmx1g -jar /srv/shop.jar --port 1", Some("shop.jar")),
            ("/usr/bin/java", "java -cp /a.jar:/b.jar -Dx=y com.example.Main arg", Some("com.example.Main")),
            ("/usr/bin/java", "java --add-opens java.base/x=ALL -m shop/com.example.Main", Some("com.example.Main")),
            ("/usr/bin/java", "java @/srv/options Main.java", Some("Main.java")),
            ("/usr/bin/python3.11", "python3 -u /srv/app.py runserver", Some("app.py")),
            ("/usr/bin/python3.11", "python3 -W ignore -m http.server 80", Some("http.server")),
            ("/usr/bin/python3.11", "/usr/bin/python3 /usr/bin/gunicorn app:app", Some("gunicorn")),
            ("/usr/bin/python3.11", "python3 -c print(1)", None),
            ("/usr/bin/python3.11", "python3", None),
            ("/usr/bin/node", "node --inspect --require ./trace.js server.js", Some("server.js")),
            ("/usr/bin/node", "node -e 0", None),
            ("/usr/bin/ruby3.1", "ruby -r bundler bin/puma -C x", Some("puma")),
            ("/usr/bin/perl", "perl -w /srv/x.pl", Some("x.pl")),
            ("/usr/bin/php8.2", "php -S 127.0.0.1:80 -t public router.php", Some("router.php")),
            ("/usr/bin/deno", "deno run --allow-net main.ts", Some("main.ts")),
            ("/usr/bin/dotnet", "dotnet Shop.dll --urls x", Some("Shop.dll")),
            ("/usr/bin/dash", "sh /srv/run.sh", Some("run.sh")),
            ("/usr/bin/dash", "sh -c while_true", None),
            ("/usr/sbin/nginx", "nginx: worker process", None),
            ("/usr/bin/pythonista", "pythonista x", None),
            ("", "", None),
        ] {
            let arguments = command_line.replace(' ', "\0");
            assert_eq!(program(executable, arguments.as_bytes()).as_deref(), expected, "{command_line}");
        }
        assert_eq!(program("/usr/bin/python3", b"python3\0\xff.py\0"), None);
        assert_eq!(program("/usr/bin/java", b"java\0-cp"), None, "cut off");
    }
}
