//! `--help`, as somebody reads it who has a terminal of the usual width.

use std::process::Command;

const COLUMNS: usize = 100;

#[test]
fn help_fits_the_usual_terminal_and_is_grouped() {
    for (program, groups) in [
        (Some(env!("CARGO_BIN_EXE_porter-server")), &["Where it listens:", "Limits and times:"][..]),
        (option_env!("CARGO_BIN_EXE_porter-client"), &[]),
        (option_env!("CARGO_BIN_EXE_porter-load"), &[]),
    ] {
        let Some(program) = program else { continue };
        let output = Command::new(program).arg("--help").output().unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && help.contains("--port"), "{program}: {help}");
        for line in help.lines() {
            assert!(line.chars().count() <= COLUMNS, "{program}: {line:?}");
        }
        for group in groups {
            assert!(help.lines().any(|line| line == *group), "{program}: no {group:?} in {help}");
        }
    }
}
