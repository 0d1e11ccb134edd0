//! What a line of the console that is begun may go on as, by the table.

use super::table::{ALIASES, Argument, Spec, TABLE};
use std::collections::BTreeSet;

/// The lines, without the console's `/`, that begin with this one and go on to the end of the word that it is in. Which
/// names, for this command, begin with a text is said by `names`.
pub fn completions(begun: &str, names: impl Fn(&Spec, &str) -> Vec<String>) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for spec in TABLE.iter().filter(|spec| spec.is_for_console) {
        let words = spec.words.join(" ");
        let has_more = !matches!(spec.argument, Argument::None(_));
        if let Some(rest) = words.strip_prefix(begun) {
            let end = begun.len() + rest.find(' ').unwrap_or(rest.len());
            let space = if end < words.len() || has_more { " " } else { "" };
            lines.insert(format!("{}{space}", &words[..end]));
        } else if let Some(name) = begun.strip_prefix(&format!("{words} "))
            && matches!(spec.argument, Argument::Name(_))
        {
            lines.extend(names(spec, name).iter().map(|name| format!("{words} {name}")));
        }
    }
    let aliases = ALIASES.iter().map(|(alias, _)| *alias).filter(|alias| alias.starts_with(begun));
    // One that other lines begin with is gone on with as they are.
    let alone = aliases.filter(|alias| !TABLE.iter().any(|spec| spec.words.first() == Some(alias)));
    lines.extend(alone.map(str::to_owned));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_from_the_table_and_names_from_whoever_knows_them() {
        let names = |_: &Spec, begun: &str| {
            ["ann", "anna", "bob"]
                .iter()
                .filter(|name| name.starts_with(begun))
                .map(|name| (*name).to_owned())
                .collect()
        };
        let lines = |begun: &str| completions(begun, names).into_iter().collect::<Vec<String>>();
        assert_eq!(lines("k"), ["kick "]);
        assert_eq!(lines("kick"), ["kick "]);
        assert_eq!(lines("kick a"), ["kick ann", "kick anna"]);
        assert_eq!(lines("users disable b"), ["users disable bob"]);
        assert_eq!(lines("s"), ["stats", "stop"]);
        assert_eq!(lines("who"), ["who"]);
        assert_eq!(lines("q"), ["quit"]);
        assert_eq!(lines("us"), ["users "]);
        assert_eq!(lines("users "), ["users disable ", "users enable ", "users list", "users remove "]);
        for nothing in ["x", "users add", "kick ann ", "who a", "forgive 1", "say "] {
            assert!(lines(nothing).is_empty(), "{nothing}");
        }
        // All of them, each typed at the console without being unknown.
        assert!(lines("").iter().any(|line| line == "help") && !lines("").contains(&"policy".to_owned()));
    }
}
