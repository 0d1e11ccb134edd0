//! The house rules, as tests that fail.
//!
//! Each rule reads the project's own files as text and relies on their layout being rustfmt's. What breaks a rule is
//! named with its file, its line and what to do about it. A table at the top of this file is the place to change a
//! rule; an exception stands in a table too, with its reason.

#![allow(clippy::unwrap_used, reason = "a project that cannot be read has failed the test")]

use std::fmt::Display;
use std::fs;

/// The modules from the bottom to the top, each with those that it may use. A row may name earlier rows only, so that
/// there can be no cycle.
const MODULES: &[(&str, &[&str])] = &[
    ("log_event", &[]),
    ("limits", &[]),
    ("moment", &[]),
    ("clock", &["moment"]),
    ("text", &[]),
    ("keepalive", &["limits"]),
    ("whole_file", &[]),
    ("foreground", &[]),
    ("cli", &["limits", "text", "whole_file"]),
    ("editor", &["limits", "text", "foreground"]),
    ("slots", &[]),
    ("tls", &["limits"]),
    ("transport", &["tls"]),
    ("proxy_header", &["limits"]),
    ("http", &["limits"]),
    ("protocol", &["limits"]),
    ("auth", &["limits", "moment", "slots", "protocol"]),
    ("handler", &["limits", "protocol", "auth"]),
    ("store", &["log_event", "limits", "moment", "clock", "auth"]),
    ("command", &["limits", "auth", "store"]),
    (
        "engine",
        &[
            "log_event",
            "limits",
            "moment",
            "text",
            "slots",
            "protocol",
            "auth",
            "handler",
            "store",
            "command",
        ],
    ),
    (
        "server",
        &[
            "log_event",
            "limits",
            "moment",
            "clock",
            "text",
            "keepalive",
            "foreground",
            "editor",
            "slots",
            "tls",
            "transport",
            "proxy_header",
            "http",
            "whole_file",
            "auth",
            "handler",
            "store",
            "command",
            "engine",
        ],
    ),
    ("client", &["limits", "text", "keepalive", "cli", "tls", "transport", "protocol", "auth"]),
    ("chart", &[]),
    (
        "load",
        &[
            "limits",
            "moment",
            "clock",
            "keepalive",
            "cli",
            "tls",
            "transport",
            "protocol",
            "auth",
            "client",
            "chart",
        ],
    ),
    (
        "fuzz",
        &[
            "limits",
            "moment",
            "cli",
            "proxy_header",
            "http",
            "protocol",
            "auth",
            "handler",
            "store",
            "command",
            "engine",
        ],
    ),
];

/// What the crate's root offers under a name of its own, and the module that it comes from.
const ROOT_NAMES: &[(&str, &str)] = &[("Moment", "moment"), ("Clock", "clock"), ("Key", "slots")];

/// Words of the world outside, and the only modules that may name them: the rest has the world handed in.
const WORLD: &[(&str, &[&str])] = &[
    ("mio", &["server", "load"]),
    ("signal_hook", &["editor", "server", "load", "bin"]),
    ("signal_hook_mio", &["server"]),
    // The command line asks and complains on streams that others may have made non-blocking.
    (
        "rustix",
        &["clock", "whole_file", "foreground", "cli", "editor", "server", "store", "client", "load", "bin"],
    ),
    ("getrandom", &["server", "load", "bin"]),
    ("TcpStream", &["server", "client", "load"]),
    // A program takes over what a service manager passes to it.
    ("TcpListener", &["server", "load", "bin"]),
    ("Instant", &["server", "store", "client", "load", "bin"]),
    ("SystemTime", &["store", "server"]),
    ("std::fs", &["whole_file", "cli", "editor", "server", "store", "client", "load", "bin"]),
    ("std::env", &["cli", "editor", "bin"]),
    // The client finds hosts, connects and shakes hands on a thread of its own: those calls cannot be given up, and the
    // keyboard and signals do not wait for them. The server is one thread, which may be one of another program's, but for the
    // name of a store that it has lost.
    ("std::thread", &["client", "server"]),
    // The engine sees the store through its trait; where records and keys lie is between store and server.
    ("Disk", &["store", "server", "fuzz"]),
    ("OsDisk", &["store", "server", "bin"]),
    ("DiskStore", &["store", "server", "fuzz", "bin"]),
    // Printing ends the program when its terminal has gone; only what talks to a person may, and the rest logs.
    ("println!", &["load", "bin"]),
    ("eprintln!", &["load", "bin"]),
];

/// Words that no file may have. Spelled in two halves, or this file would break its own rule.
const BANNED: &[(&str, &str)] = &[
    (concat!("TO", "DO"), "do it now, or write an issue"),
    (concat!("FIX", "ME"), "fix it now, or write an issue"),
    (concat!("XX", "X"), "say in plain words what is wrong"),
    (concat!("HA", "CK"), "do it properly, or say why it must be so"),
    (concat!("dbg", "!"), "remove it"),
    (concat!("allow(dead", "_code"), "remove the code that nobody uses"),
    (concat!("allow(un", "used"), "remove what nobody uses"),
];

/// Words that gave way to the field's, by the folder or file in which they are gone.
const GONE: &[(&str, &[&str])] = &[
    (
        "src/load",
        &[
            "crowd",
            "hall",
            "regular",
            "regulars",
            "visitor",
            "visitors",
            "gauge",
            "mishap",
            "stretch",
            "stage",
            "wire",
            "carrier",
            "speaker",
            "patience",
            "habit",
            "errand",
            "alarm",
            "lateness",
            "absence",
            "processor",
        ],
    ),
    (
        "src/engine",
        &[
            "lobby", "gate", "verdict", "courier", "census", "carriage", "appetite", "hungry", "deaf",
            "surplus", "stage", "visit", "errand", "obey", "settle", "patience",
        ],
    ),
    (
        "src/server",
        &["door", "deaf", "hungry", "appetite", "wish", "heed", "complain", "welcome", "patience"],
    ),
    ("src/store", &["pace"]),
    ("src/client", &["carrier", "dialogue", "errand", "talk", "meeting", "hearing", "mended"]),
    ("src/bin", &["talk", "mended", "deaf", "patience"]),
    (
        "tests/sim",
        &["appetite", "census", "debts", "deaf", "errand", "hungry", "nature", "surplus", "witness"],
    ),
    ("tests/it", &["deaf", "processor", "stretch"]),
    ("tests/peers", &["crowd", "link", "meter", "ledger", "stretch", "errand", "visitor", "processor"]),
    ("tests/bench", &["honest", "besieger", "besiegers", "processor"]),
];

/// Names that keep a word that gave way: others read them in JSON, or have given them.
const NAMES_KEPT: &[&str] = &[
    "lateness_us",
    "processor_seconds",
    "processor_share",
    "read_link",
    "server_processor_share",
    "tester_processor_share",
];

/// Words that hide in a name who does what to whom.
const PERSONS: &[&str] = &["told", "tell", "tells", "heard", "hear", "hears"];

/// Crates that a command line and a log file need, and a library does not.
const PROGRAMS_ONLY: &[&str] = &["clap", "simplelog"];

/// Types that carry a secret.
const SECRETS: &[&str] = &["Password", "PasswordHash", "Token", "Request", "Reply"];

/// Fields that hold a bare secret; a type that has one writes its own `Debug`.
const SECRET_FIELDS: &[&str] = &["Zeroizing<", "[u8; TOKEN_BYTES]", "[u8; HASH_BYTES]"];

/// Tests wait for what happens, not for time to pass; but for these.
const MAY_SLEEP: &[(&str, &str)] = &[
    ("tests/it/pauses.rs", "how long a server was stopped is what is tested"),
    ("tests/it/tls/pauses.rs", "how long a server was stopped is what is tested"),
    ("tests/it/support/mod.rs", "looks again for what has no event to wait for"),
    (
        "tests/it/support/server.rs",
        "asks again whether a server has ended: std has no such wait with a ceiling",
    ),
    ("tests/it/support/proxy.rs", "a path that is slow is what it is for"),
    ("tests/it/load/scenarios.rs", "a server that stalls is what its test is about"),
    ("tests/bench/host.rs", "a log tells nobody when it has been written"),
    ("tests/bench/attacks.rs", "keeps to a pace, so that a siege is bounded"),
    ("tests/bench/rooms.rs", "stays until a stretch that is measured is over"),
    ("tests/bench/siege.rs", "measures a stretch in which nothing happens"),
    ("tests/bench/server.rs", "asks again whether a server listens that does not say so"),
    (
        "tests/peers/src/compare/syscalls.rs",
        "asks again whether a counter is attached, which it does not say",
    ),
];

const FILE_LINES: usize = 400;
const FUNCTION_LINES: usize = 70;
const README_LINES: usize = 200;

/// What may lie at the top of the project, beside dotfiles and what `.gitignore` names.
const TOP_LEVEL: &[&str] = &["Cargo.toml", "Cargo.lock", "src", "tests", "logs", "README.md"];

#[test]
fn dependencies_point_one_way() {
    let mut findings = Vec::new();
    for (row, (module, uses)) in MODULES.iter().enumerate() {
        for used in *uses {
            if !MODULES[..row].iter().any(|(earlier, _)| earlier == used) {
                findings.push(format!("tests/tidy.rs: {module} may not use {used}: it is not below it"));
            }
        }
    }
    for file in sources("src").iter().filter(|file| !file.is_test()) {
        let module = file.module();
        if ["lib", "bin"].contains(&module) {
            continue;
        }
        let Some((_, allowed)) = MODULES.iter().find(|(name, _)| *name == module) else {
            findings.push(file.at(1, format!("give {module} its row of MODULES in tests/tidy.rs")));
            continue;
        };
        for (number, line) in file.code() {
            for used in modules_named(line) {
                if used != module && !allowed.contains(&used) {
                    findings
                        .push(file.at(number, format!("{module} must not know {used}, only {allowed:?}")));
                }
            }
            // As many `super::` as the file is deep lead to the crate's root.
            if line.contains("crate::{") || line.contains(&"super::".repeat(file.modules().count())) {
                findings.push(file.at(number, "write `crate::module::..`, so that this rule can read it"));
            }
        }
    }
    report(findings);
}

#[test]
fn the_world_is_named_only_where_it_may_be() {
    let mut findings = Vec::new();
    for file in sources("src").iter().filter(|file| !file.is_test()) {
        for (number, line) in file.code() {
            for (word, places) in WORLD {
                if has_word(line, word) && !places.contains(&file.module()) {
                    findings
                        .push(file.at(number, format!("{word} belongs in {places:?}; have it handed in")));
                }
            }
        }
    }
    report(findings);
}

#[test]
fn files_and_functions_are_short() {
    let mut findings = Vec::new();
    for file in sources("src") {
        let lines = file.tests_begin();
        if lines > FILE_LINES {
            findings.push(file.at(lines, format!("{lines} lines, {FILE_LINES} at most; split it by idea")));
        }
    }
    for file in sources("src").iter().chain(&sources("tests")) {
        for (number, length) in file.functions() {
            if length > FUNCTION_LINES {
                findings.push(file.at(number, format!("{length} lines, {FUNCTION_LINES} at most; split it")));
            }
        }
    }
    report(findings);
}

#[test]
fn every_file_says_what_it_is_for() {
    let files = [sources("src"), sources("tests")].concat().into_iter();
    let silent = files.filter(|file| !file.text.starts_with("//! "));
    report(silent.map(|file| file.at(1, "begin with a `//!` line that says what it is for")));
}

#[test]
fn every_dependency_says_what_for() {
    let manifest = Source::read("Cargo.toml");
    let (mut findings, mut section, mut before) = (Vec::new(), "", "");
    for (number, line) in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        }
        let is_dependency = section.contains("dependencies") && line.starts_with(char::is_alphabetic);
        if is_dependency && !before.starts_with("# ") {
            findings.push(manifest.at(number, "say in a comment line above what it is for"));
        }
        before = line;
    }
    report(findings);
}

#[test]
fn the_library_alone_needs_nothing_of_the_programs() {
    let manifest = Source::read("Cargo.toml");
    let of_programs = |line: &str| PROGRAMS_ONLY.iter().any(|name| line.starts_with(&format!("{name} = ")));
    let always = manifest.lines().filter(|(_, line)| of_programs(line) && !line.contains("optional = true"));
    let advice = "make it optional: who uses the library has no use for it";
    report(always.map(|(number, _)| manifest.at(number, advice)));
    let features = manifest.lines().find(|(_, line)| line.starts_with("programs = ")).unwrap().1;
    let missing = PROGRAMS_ONLY.iter().filter(|name| !features.contains(&format!("\"dep:{name}\"")));
    report(missing.map(|name| format!("Cargo.toml: the programs need {name}; correct PROGRAMS_ONLY")));
}

/// A patch that only nearly fits is applied somewhere else, where it may not compile, or change nothing that is tested.
#[test]
fn planted_defects_are_where_they_belong() {
    let mut findings = Vec::new();
    for folder in ["tests/sim/defects", "tests/it/defects"] {
        for patch in files(folder, "patch") {
            for (number, file, old) in hunks(&patch.text) {
                let places = Source::read(&file).text.matches(&old).count();
                if places != 1 {
                    findings
                        .push(patch.at(number, format!("{file} has these lines {places} times, not once")));
                }
            }
        }
    }
    report(findings);
}

/// A reader who tries what is written must not find passwords and pictures among the sources afterwards.
#[test]
fn documented_commands_write_nothing_into_the_repository() {
    let pages = [files("src", "md"), files("tests", "md"), vec![Source::read("README.md")]].concat();
    let mut findings = Vec::new();
    for file in &pages {
        for (number, line) in file.lines().filter(|(_, line)| line.starts_with("    ")) {
            // A first `>` is the prompt of a person.
            let words: Vec<&str> = line.split_whitespace().skip(1).collect();
            for pair in words.windows(2).filter(|pair| ["--plot", ">", ">>"].contains(&pair[0])) {
                if !pair[1].starts_with(['/', '~', '$', '"']) {
                    findings
                        .push(file.at(number, format!("{:?} is left behind; write it elsewhere", pair[1])));
                }
            }
        }
    }
    report(findings);
}

#[test]
fn no_banned_words() {
    let programs = [sources("src"), sources("tests"), files("tests", "sh"), files("tests", "py")].concat();
    let mut findings = Vec::new();
    for file in programs.into_iter().chain(["Cargo.toml", ".ci/run"].map(Source::read)) {
        for (number, line) in file.lines() {
            for (word, advice) in BANNED.iter().filter(|(word, _)| has_word(line, word)) {
                findings.push(file.at(number, format!("{word} has no place here; {advice}")));
            }
        }
    }
    report(findings);
}

#[test]
fn words_that_gave_way_stay_away() {
    let mut findings = Vec::new();
    for (folder, gone) in GONE {
        for file in sources(folder).into_iter().chain(files(folder, "md")) {
            for (number, line) in file.lines() {
                for name in words(line).filter(|name| !NAMES_KEPT.contains(name)) {
                    for word in name_parts(name).filter(|word| gone.contains(&word.as_str())) {
                        findings.push(file.at(number, format!("{word} is gone here: take the field's word")));
                    }
                }
            }
        }
    }
    report(findings);
}

/// What a name says is done by a function, a socket or a store: it sends, prints, reads, publishes.
#[test]
fn names_do_not_hide_who_does_what() {
    let mut findings = Vec::new();
    for file in sources("src").iter().filter(|file| !file.is_test()) {
        for (number, line) in file.code() {
            for name in outside_quotes(line).flat_map(words) {
                if name_parts(name).any(|part| PERSONS.contains(&part.as_str())) {
                    findings.push(file.at(number, format!("{name}: say what is sent, printed or read")));
                }
            }
        }
    }
    report(findings);
}

/// The docs of the engine name each function that an echo passes, and where it is.
#[test]
fn an_echo_s_way_is_there() {
    let page = fs::read_to_string("src/engine/orders.md").unwrap();
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.split('`').skip(1).step_by(2).collect())
        .collect();
    assert!(rows.len() > 5, "the page has no such list any more");
    let mut findings = Vec::new();
    for row in rows {
        let code = fs::read_to_string(format!("src/{}", row[0])).unwrap();
        let gone = row[1..].iter().filter(|name| !has_word(&code, &format!("fn {name}")));
        findings.extend(gone.map(|name| format!("src/engine/orders.md: {} has no function {name}", row[0])));
    }
    report(findings);
}

#[test]
fn secrets_are_not_shown() {
    let (mut findings, mut found) = (Vec::new(), Vec::new());
    for file in sources("src").iter().filter(|file| !file.is_test()) {
        for (number, name, derives, body) in file.types() {
            let secret = SECRETS.contains(&name.as_str());
            let holds = SECRET_FIELDS.iter().any(|field| body.contains(field));
            if (secret || holds) && has_word(&derives, "Debug") {
                findings.push(file.at(number, format!("{name} has a secret; write its Debug by hand")));
            }
            if secret && has_word(&file.text, &format!("Display for {name}")) {
                findings.push(file.at(number, format!("{name} has a secret; it must have no Display")));
            }
            found.push(name);
        }
    }
    for secret in SECRETS.iter().filter(|secret| !found.iter().any(|name| name == *secret)) {
        findings.push(format!("tests/tidy.rs: there is no type {secret}; correct SECRETS"));
    }
    report(findings);
}

#[test]
fn tests_do_not_sleep() {
    let mut findings = Vec::new();
    for file in sources("src").iter().chain(&sources("tests")).filter(|file| file.path != "tests/tidy.rs") {
        let excused = MAY_SLEEP.iter().any(|(path, _)| *path == file.path);
        for (number, _) in file.lines().filter(|(_, line)| !excused && has_word(line, "thread::sleep")) {
            findings.push(file.at(number, "wait for what is to happen; do not sleep"));
        }
    }
    report(findings);
}

#[test]
fn the_top_level_is_as_agreed() {
    let ignored = Source::read(".gitignore").text;
    let mut findings = Vec::new();
    for entry in fs::read_dir(".").unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let ignored = name.starts_with('.') || ignored.lines().any(|line| *line == format!("/{name}"));
        if !ignored && !TOP_LEVEL.contains(&name.as_str()) {
            findings.push(format!("{name}: move it; the top level has {TOP_LEVEL:?} only"));
        }
    }
    report(findings);
}

#[test]
fn pages_that_are_cited_are_in_the_tree() {
    let pages: Vec<String> =
        ["src", "tests"].iter().flat_map(|folder| files(folder, "md")).map(|page| page.path).collect();
    let name = |path: &str| path.rsplit('/').next().map(str::to_owned);
    let is_there = |cited: &str| cited == "README.md" || pages.iter().any(|page| name(page) == name(cited));
    let mut findings = Vec::new();
    for file in sources("src").iter().chain(&sources("tests")) {
        for (number, line) in file.lines() {
            let names = line.split(|c: char| !(c.is_alphanumeric() || "_./-".contains(c)));
            for cited in names.filter(|name| name.len() > 3 && name.ends_with(".md")) {
                if !is_there(cited) {
                    findings
                        .push(file.at(number, format!("{cited} is not in the tree: say here what it says")));
                }
            }
        }
    }
    report(findings);
}

#[test]
fn the_readme_is_short_and_its_links_lead_somewhere() {
    let mut findings = Vec::new();
    let pages = ["src", "tests"].iter().flat_map(|folder| files(folder, "md"));
    for page in pages.chain([Source::read("README.md")]) {
        if page.path == "README.md" && page.lines().count() > README_LINES {
            findings.push(page.at(
                README_LINES,
                "move what nobody needs to decide or to start to the page that it is about",
            ));
        }
        let folder = page.path.rsplit_once('/').map_or(".", |(folder, _)| folder);
        for (number, line) in page.lines() {
            for link in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let is_local = !link.contains("://") && !link.contains("::") && !link.starts_with('#');
                if is_local && !fs::exists(format!("{folder}/{link}")).unwrap() {
                    findings.push(page.at(number, format!("{link} is not there")));
                }
            }
        }
    }
    report(findings);
}

/// Fails with all findings, a line each.
fn report(findings: impl IntoIterator<Item = String>) {
    let findings: Vec<String> = findings.into_iter().collect();
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

/// One file of the project; its path is from the top, where `cargo test` runs.
#[derive(Clone)]
struct Source {
    path: String,
    text: String,
}

impl Source {
    fn read(path: &str) -> Source {
        let text = fs::read_to_string(path).map_err(|error| format!("{path}: {error}")).unwrap();
        Source { path: path.to_owned(), text }
    }

    /// What is to be done at a line.
    fn at(&self, number: usize, advice: impl Display) -> String {
        format!("{}:{number}: {advice}", self.path)
    }

    /// All lines, each with its number.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// The lines that the programs are made of: no comments, no tests.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let comment = |line: &str| line.trim_start().starts_with("//");
        self.lines().take(self.tests_begin()).filter(move |(_, line)| !comment(line))
    }

    /// How many lines there are before the tests.
    fn tests_begin(&self) -> usize {
        let lines: Vec<&str> = self.text.lines().collect();
        let tests = lines.windows(2).position(|pair| pair[0] == "#[cfg(test)]" && pair[1].ends_with(" {"));
        tests.unwrap_or(lines.len())
    }

    /// Whether the whole file is compiled for tests only.
    fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }

    /// The names of its modules, from the crate's root on.
    fn modules(&self) -> impl Iterator<Item = &str> {
        let path = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        path.split('/').filter(|part| *part != "mod")
    }

    fn module(&self) -> &str {
        self.modules().next().unwrap()
    }

    /// The first line of each function, and how many it has: to the brace that closes it, in the same column.
    fn functions(&self) -> Vec<(usize, usize)> {
        let lines: Vec<&str> = self.text.lines().collect();
        let mut functions = Vec::new();
        for (index, line) in lines.iter().enumerate().filter(|(_, line)| is_function(line)) {
            let indent = &line[..line.len() - line.trim_start().len()];
            let closes = |rest: &str| rest == "}" || rest.starts_with(')') && rest.ends_with(';');
            let ends = lines[index..]
                .iter()
                .position(|line| line.strip_prefix(indent).is_some_and(closes))
                .unwrap_or(0);
            let one_line = line.ends_with('}') || line.ends_with(';');
            functions.push((index + 1, if one_line { 1 } else { ends + 1 }));
        }
        functions
    }

    /// Each struct and enum: its line, its name, the attributes before it, and its text.
    fn types(&self) -> Vec<(usize, String, String, String)> {
        let lines: Vec<&str> = self.text.lines().take(self.tests_begin()).collect();
        let mut types = Vec::new();
        for (index, line) in lines.iter().enumerate().filter(|(_, line)| !line.starts_with([' ', '/'])) {
            let mut words = words(line).skip_while(|word| ["pub", "crate", "super"].contains(word));
            let (Some("struct" | "enum"), Some(name)) = (words.next(), words.next()) else { continue };
            let above = lines[..index].iter().rev().take_while(|line| line.starts_with(['#', '/']));
            let derives = above.filter(|line| line.starts_with('#')).copied().collect();
            let length =
                lines[index..].iter().position(|line| line.ends_with(';') || *line == "}").unwrap_or(0);
            types.push((index + 1, name.to_owned(), derives, lines[index..=index + length].concat()));
        }
        types
    }
}

/// The identifiers and numbers of a line.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// The hunks of a patch: where each begins, the file that it changes, and the lines that it finds there.
fn hunks(patch: &str) -> Vec<(usize, String, String)> {
    let mut hunks: Vec<(usize, String, String)> = Vec::new();
    let mut file = "";
    for (index, line) in patch.lines().enumerate() {
        if let Some(path) = line.strip_prefix("+++ b/") {
            file = path;
        } else if line.starts_with("@@") {
            hunks.push((index + 1, file.to_owned(), String::new()));
        } else if let (Some((_, _, old)), Some(found)) = (hunks.last_mut(), line.strip_prefix([' ', '-']))
            && !line.starts_with("--- a/")
        {
            old.push_str(found);
            old.push('\n');
        }
    }
    hunks
}

/// The words that a name is made of, in small letters.
fn name_parts(name: &str) -> impl Iterator<Item = String> {
    let mut parts = vec![String::new()];
    let mut was_small = false;
    for letter in name.chars() {
        if letter == '_' || (was_small && letter.is_uppercase()) {
            parts.push(String::new());
        }
        was_small = letter.is_lowercase();
        if let (Some(part), true) = (parts.last_mut(), letter != '_') {
            part.extend(letter.to_lowercase());
        }
    }
    parts.into_iter()
}

/// What of a line of code is in no string.
fn outside_quotes(code: &str) -> impl Iterator<Item = &str> {
    code.split('"').step_by(2)
}

fn is_function(line: &str) -> bool {
    words(line).find(|word| !["pub", "crate", "super", "const", "async"].contains(word)) == Some("fn")
}

/// The modules that a line names by `crate::`.
fn modules_named(line: &str) -> impl Iterator<Item = &str> {
    line.split("crate::").skip(1).filter_map(|rest| {
        let name = words(rest).next().filter(|name| rest.starts_with(name))?;
        let home = ROOT_NAMES.iter().find(|(root_name, _)| *root_name == name);
        Some(home.map_or(name, |(_, module)| *module))
    })
}

/// Whether a line has a word, and not only as part of a longer one.
fn has_word(line: &str, word: &str) -> bool {
    let joins = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let after = line[at + word.len()..].chars().next();
        !line[..at].ends_with(joins) && !after.is_some_and(joins)
    })
}

/// The Rust files of a folder and its folders.
fn sources(folder: &str) -> Vec<Source> {
    files(folder, "rs")
}

/// The files of a folder and its folders whose names end so.
fn files(folder: &str, extension: &str) -> Vec<Source> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&path, extension));
        } else if path.ends_with(&format!(".{extension}")) {
            found.push(Source::read(&path));
        }
    }
    found
}
