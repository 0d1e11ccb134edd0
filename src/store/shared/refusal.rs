//! What a store says instead of an answer, in words for whoever runs it: what is wrong, and what to do.

use super::pipeline::Reply;

/// What a user of the store must be allowed, as its ACL has it.
const RIGHTS: &str = "give porter's user there the rights that the page on shared stores lists (ACL SETUSER)";

/// An error, if the reply is one: as the store says it, without which script it was.
pub(super) fn error(reply: &Reply) -> Option<String> {
    let said = match reply {
        Reply::SimpleError { data, .. } => data.to_string(),
        Reply::BlobError { data, .. } => String::from_utf8_lossy(data).into_owned(),
        _ => return None,
    };
    Some(said.split(" script: ").next().unwrap_or_default().trim_end().to_owned())
}

/// What the store says instead of an answer, behind what that means.
pub(super) fn refused(reply: &Reply) -> String {
    let Some(said) = error(reply) else { return "its reply is of another kind than is expected".to_owned() };
    match meaning(&said) {
        Some(meaning) => format!("{meaning} (it says {said:?})"),
        None => format!("it says {said:?}"),
    }
}

/// What is known of an error: what is wrong there, and the way out.
fn meaning(said: &str) -> Option<String> {
    let code = said.split(' ').next()?;
    Some(match code {
        "NOAUTH" => "it wants a password: give it in --store, as redis://:PASSWORD@HOST".to_owned(),
        "WRONGPASS" => {
            "it does not take this user and password: give those that it has in --store, as redis://USER:PASSWORD@HOST"
                .to_owned()
        }
        "OOM" => "its memory is full: raise maxmemory there".to_owned(),
        "MISCONF" => "it cannot write to its disk: make room there".to_owned(),
        "NOREPLICAS" => {
            "fewer replicas follow it than its min-replicas-to-write: bring them back, or lower that there"
                .to_owned()
        }
        "READONLY" | "MASTERDOWN" => {
            "it is a replica, which takes no writes: give the primary in --store".to_owned()
        }
        "LOADING" => "it is loading its files: wait until it has".to_owned(),
        "BUSY" => "it is busy with a script: wait, or end that there (SCRIPT KILL)".to_owned(),
        "WRONGTYPE" => {
            "a key of porter's has something else in it: find out who writes there, and remove what is not porter's"
                .to_owned()
        }
        "CROSSSLOT" | "MOVED" | "ASK" | "CLUSTERDOWN" => CLUSTER.to_owned(),
        // What a script may not do is told without that word.
        "NOPERM" => format!("its ACL does not allow it: {RIGHTS}"),
        "ERR" if said.contains("The user executing the script can't") => {
            format!("its ACL does not allow it: {RIGHTS}")
        }
        _ => return None,
    })
}

/// What is said of a node of a cluster.
pub(super) const CLUSTER: &str = "it is a node of a Redis Cluster, which keeps porter's keys apart from each other: give a store that is none (cluster-enabled no)";

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        refused(&Reply::SimpleError { data: text.into(), attributes: None })
    }

    #[test]
    fn what_is_known_has_a_way_out_and_the_stores_own_words() {
        for (text, part) in [
            ("OOM command not allowed when used memory > 'maxmemory'.", "raise maxmemory"),
            ("MISCONF Errors writing to the AOF file: No space left on device", "make room"),
            ("NOREPLICAS Not enough good replicas to write.", "min-replicas-to-write"),
            ("READONLY You can't write against a read only replica.", "give the primary"),
            ("NOPERM this user has no permissions to run the 'eval' command", "ACL"),
            ("ERR The user executing the script can't run this command or subcommand", "ACL"),
            (
                "ERR The user executing the script can't publish to the channel mentioned in the command",
                "ACL",
            ),
            ("WRONGTYPE Operation against a key holding the wrong kind of value", "something else in it"),
            ("CROSSSLOT Keys in request don't hash to the same slot", "Redis Cluster"),
            ("MOVED 866 127.0.0.1:7001", "Redis Cluster"),
            ("NOAUTH HELLO must be called with the client already authenticated", "it wants a password"),
            ("WRONGPASS invalid username-password pair or user is disabled.", "user and password"),
        ] {
            let refusal = said(text);
            assert!(refusal.contains(part) && refusal.ends_with(&format!("(it says {text:?})")), "{refusal}");
        }
        assert_eq!(said("ERR no"), "it says \"ERR no\"");
    }

    /// It is another for each script, and would make each a reason of its own.
    #[test]
    fn which_script_it_was_is_not_told() {
        let text = "OOM not allowed. script: a65f392b83620783dc5d160a1f53918d100340cf, on @user_script:1.";
        assert!(said(text).ends_with("(it says \"OOM not allowed.\")"), "{}", said(text));
    }
}
