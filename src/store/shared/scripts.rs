//! What the store runs, each in one piece: nothing comes between its looks and its writes.

/// Scripts one behind the other, behind the clock.
macro_rules! timed {
    ($($file:literal),+) => {
        concat!(include_str!("scripts/clock.lua") $(, include_str!(concat!("scripts/", $file)))+)
    };
}

/// The same, behind the comparison of the birth too.
macro_rules! script {
    ($($file:literal),+) => { timed!("birth.lua" $(, $file)+) };
}

pub(super) const REGISTER: &str = script!("register.lua");
pub(super) const REHASH: &str = script!("rehash.lua");
pub(super) const ALTER: &str = script!("alter.lua");
pub(super) const IMPORT: &str = script!("import.lua");
pub(super) const OPEN: &str = script!("directory.lua", "open.lua");
pub(super) const RESUME: &str = script!("directory.lua", "resume.lua");
pub(super) const CONFIRM: &str = script!("directory.lua", "confirm.lua");
pub(super) const KEEP: &str = script!("directory.lua", "keep.lua");
pub(super) const END: &str = script!("directory.lua", "end.lua");
pub(super) const END_ALL: &str = script!("directory.lua", "end_all.lua");
pub(super) const REAP: &str = script!("directory.lua", "reap.lua");
pub(super) const WHO: &str = script!("directory.lua", "who.lua");
pub(super) const PRESENT: &str = script!("directory.lua", "present.lua");
pub(super) const RECOUNT: &str = script!("directory.lua", "recount.lua");
pub(super) const PROBE: &str = script!("probe.lua");
/// These are about no user, and compare nothing.
pub(super) const CHARGE: &str = timed!("charge.lua");
pub(super) const FORGIVE: &str = include_str!("scripts/forgive.lua");
pub(super) const DEBTS: &str = timed!("debts.lua");
