//! Lists that a command asks for.

use super::*;
use crate::command::{Answer, Command};

impl World {
    fn listed(&mut self, command: Command) -> Vec<Answer> {
        let id = self.engine.handle_command(command, self.now);
        let mut answers = Vec::new();
        // A share of a list may bring none.
        while self.engine.has_answer(id) {
            answers.extend(self.engine.poll_answer(id));
        }
        answers
    }
}

#[test]
fn each_user_is_listed_once() {
    let mut world = world();
    let mut names: Vec<String> = (0..100).map(|number| format!("user{number:02}")).collect();
    let stored = PasswordHash { rounds: ROUNDS, salt: [1; 16], hash: [2; 16] };
    for name in &names {
        world.engine.store_mut().users.insert(Name::new(name).unwrap(), stored.clone());
    }
    // Who was removed is behind them, and is passed over.
    world.engine.store_mut().removed.push(ROUNDS);
    names.push(String::new());
    for command in [Command::ListUsers, Command::ExportUsers] {
        let name_in = |answer| match answer {
            Answer::User { account, .. } | Answer::Record(account) => account.name.to_string(),
            Answer::Done(said) => said,
            other => panic!("{other:?}"),
        };
        let mut listed: Vec<String> = world.listed(command).into_iter().map(name_in).collect();
        listed[..100].sort();
        assert_eq!(listed, names);
    }
}

/// At the console names are completed from those who are online, and from all users where accounts are changed; never
/// more than a person reads.
#[test]
fn commands_about_accounts_are_completed_with_stored_names() {
    let mut world = world();
    let stored = PasswordHash { rounds: ROUNDS, salt: [1; 16], hash: [2; 16] };
    for name in (0..150).map(|number| format!("user{number:03}")).chain(["ann".to_owned()]) {
        world.engine.store_mut().users.insert(Name::new(&name).unwrap(), stored.clone());
    }
    let completions = |begun: &str| world.engine.console_completions(begun);
    assert_eq!(completions("/users disable a"), ["/users disable ann"]);
    assert_eq!(
        completions("/users enable user14"),
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(|n| format!("/users enable user14{n}"))
    );
    for nobody in ["/kick a", "@a", "/users remove x"] {
        assert_eq!(completions(nobody), [""; 0], "{nobody}");
    }
    let offered = completions("/users remove user");
    assert_eq!(offered.len(), crate::limits::CONSOLE_COMPLETIONS + 1);
    assert!(offered.contains(&"/users remove user ...".to_owned()));
}
