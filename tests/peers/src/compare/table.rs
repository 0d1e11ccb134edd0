//! The figures as Markdown.

use crate::results::{Results, Summary};

use crate::peers::{PEERS, Peer};
use crate::steady::{LOAD_SHARE, WAITED};
use crate::storm::{self, STORMS};
use crate::{chat, idle, many, sequential, start, steady, syscalls, tls};

/// The load generator was the limit when it had less than this of its CPU left, in percent.
const LIMIT_SHARE: f64 = 95.0;
/// Of the time, in percent, that is waited on a machine where nothing else runs.
const QUIET_WAITED: f64 = 2.0;
/// The same of one round of one work: what it measured is not to be counted on.
const DISTURBED_WAITED: f64 = 10.0;

/// What porter is measured by.
const BASES: [Peer; 2] = [Peer::Bare, Peer::Redis];

/// The first two lines of the table that has a column for each peer.
pub(crate) fn head(peers: &[Peer]) -> String {
    let mut titles = vec![String::new()];
    titles.extend(peers.iter().map(|peer| match peer.has_login() {
        true => peer.name().to_owned(),
        false => format!("{} (no login)", peer.name()),
    }));
    titles.extend(bases(peers).map(|base| format!("porter ÷ {}", base.name())));
    format!("{}\n|---|{}\n", row(titles.iter().map(String::as_str)), "---:|".repeat(titles.len() - 1))
}

/// The lines of one work and some of its measures.
pub(crate) fn lines(results: &Results, peers: &[Peer], work: &str, measures: &[&str]) -> String {
    let line = |measure: &&str| {
        let mut cells = vec![format!("{work}: {measure}")];
        cells.extend(peers.iter().map(|peer| with_span(results.summary(work, peer.name(), measure))));
        let ratio = |base: Peer| results.ratio(work, measure, Peer::Porter.name(), base.name());
        cells.extend(bases(peers).map(|base| with_span(ratio(base))));
        row(cells.iter().map(String::as_str)) + "\n"
    };
    measures.iter().map(line).collect()
}

/// The lines of a row of the table of peers.
pub(crate) fn steady(results: &Results, peers: &[Peer]) -> String {
    let measures = [steady::COST, steady::RATE];
    let loads = [steady::ALONE].into_iter().chain(steady::LOADS);
    loads.map(|load| lines(results, peers, load.name, &measures)).collect()
}

pub(crate) fn syscalls(results: &Results, peers: &[Peer]) -> String {
    syscalls::LOADS.iter().map(|(name, _)| lines(results, peers, name, &[syscalls::COUNT])).collect()
}

pub(crate) fn sequential(results: &Results, peers: &[Peer]) -> String {
    let works = [sequential::AWAITED, sequential::IN_ONE_GO, sequential::EACH_AWAITED];
    let measures = [sequential::COST, sequential::RATE];
    works.iter().map(|work| lines(results, peers, work, &measures)).collect()
}

pub(crate) fn chat(results: &Results, peers: &[Peer]) -> String {
    chat::LOADS.iter().map(|load| lines(results, peers, load.name, &chat::MEASURES)).collect()
}

pub(crate) fn tls(results: &Results, peers: &[Peer]) -> String {
    let rows = [
        lines(results, peers, tls::VISIT, &[sequential::COST, sequential::RATE]),
        lines(results, peers, tls::STEADY, &[steady::COST, steady::RATE]),
        lines(results, peers, tls::IDLE, &[idle::COST]),
    ];
    let rooms = tls::ROOMS.iter().map(|load| lines(results, peers, load.name, &chat::MEASURES));
    rows.into_iter().chain(rooms).collect()
}

pub(crate) fn idle(results: &Results, peers: &[Peer]) -> String {
    lines(results, peers, idle::WORK, &[idle::COST])
}

/// The table of storms.
pub(crate) fn storms(results: &Results) -> String {
    let titles =
        ["server", "a login costs", "echo at rest, p50 / p99 ms", "in the storm, p50 / p99 ms", "logins/s"];
    let mut text = format!("{}\n|---|---|---:|---:|---:|\n", row(titles.into_iter()));
    for storm in STORMS {
        let figure = |measure| results.summary(storm.login, storm.peer.name(), measure);
        if figure(storm::RATE).is_none() {
            continue;
        }
        let pair = |one, other| format!("{} / {}", with_span(figure(one)), with_span(figure(other)));
        let cells = [
            storm.peer.name(),
            storm.login,
            &pair(storm::REST_P50, storm::REST_P99),
            &pair(storm::STORM_P50, storm::STORM_P99),
            &with_span(figure(storm::RATE)),
        ];
        text += &(row(cells.into_iter()) + "\n");
    }
    text
}

/// What is to be said beneath the table of storms.
pub(crate) fn storm_notes(results: &Results) -> String {
    let mut text = String::new();
    for storm in STORMS {
        if let Some(share) = results.median(storm.login, storm.peer.name(), storm::HASH_SHARE) {
            text += &format!(
                "{}'s logins at {} are {} of what the hash alone, one at a time, would allow with the CPU time \
                 that the talkers leave.\n",
                storm.peer.name(),
                storm.login,
                shown(Some(share))
            );
        }
        let late = results.median(storm.login, storm.peer.name(), storm::LATENESS);
        if let Some(late) = late.filter(|late| *late > LATE_MILLISECONDS) {
            text += &format!(
                "Beside {} with {} the load generator was itself late, by {} ms at its p99.\n",
                storm.peer.name(),
                storm.login,
                shown(Some(late))
            );
        }
    }
    text
}

/// A load generator that is later than this has measured itself.
const LATE_MILLISECONDS: f64 = 0.2;

/// porter's start.
pub(crate) fn start(results: &Results) -> String {
    let [seconds, memory] = [start::SECONDS, start::MEMORY]
        .map(|measure| with_span(results.summary(start::WORK, "porter", measure)));
    format!("porter, {}: {seconds} s until it listens, {memory} MB of memory at most.\n", start::WORK)
}

/// The table of porter's processes, and what two of them carry with a CPU each.
pub(crate) fn many(results: &Results) -> String {
    let names = many::GROUPS.map(|group| group.name);
    let titles = ["porter"].into_iter().chain(names);
    let mut text = format!("{}\n|---|{}\n", row(titles), "---:|".repeat(names.len()));
    let visits = [sequential::COST, many::STORE_COST, sequential::RATE];
    let works: [(&str, &[&str]); 3] = [
        (many::ECHO, &[steady::COST, steady::RATE]),
        (many::VISIT, &visits),
        (many::VISITS_AT_ONCE, &visits),
    ];
    let rooms = many::ROOMS.iter().map(|room| (room.name, &chat::MEASURES[..]));
    for (work, measures) in works.into_iter().chain(rooms) {
        for measure in measures {
            let cells = names.iter().map(|name| with_span(results.summary(work, name, measure)));
            let cells: Vec<String> = [format!("{work}: {measure}")].into_iter().chain(cells).collect();
            text += &(row(cells.iter().map(String::as_str)) + "\n");
        }
    }
    let both = results.ratio(many::ECHO, steady::COST, "1 process", "2 processes");
    text + &format!(
        "\nAll processes share one CPU, and the store has the load generator's. With a CPU each, two carry {} times the echoes \
         of one, by the CPU time of a message; the load generator used {} % of its CPU beside two.\n",
        with_span(both.map(Summary::doubled)),
        with_span(results.summary(many::ECHO, "2 processes", LOAD_SHARE))
    )
}

/// Where the load generator was the limit, so that rates and times tell of it and not of the server.
pub(crate) fn limits(results: &Results, peers: &[Peer]) -> String {
    let mut limited = Vec::new();
    for work in results.works_with(LOAD_SHARE) {
        let share = |peer: &&Peer| results.median(work, peer.name(), LOAD_SHARE);
        let was_limit = |peer: &&Peer| share(peer).is_some_and(|share| share > LIMIT_SHARE);
        let names: Vec<&str> = peers.iter().filter(was_limit).map(|peer| peer.name()).collect();
        if !names.is_empty() {
            limited.push(format!("{work} ({})", names.join(", ")));
        }
    }
    if limited.is_empty() {
        return String::new();
    }
    format!(
        "The load generator used over {LIMIT_SHARE} % of its CPU, so that rates and the time until the last \
         has it are its own as well as the server's, at: {}.\n",
        limited.join("; ")
    )
}

/// Whether other programs disturbed the measurement. Where several processes share a CPU they wait for each other.
pub(crate) fn disturbance(results: &Results) -> String {
    let usual = results.median_of_all(WAITED, &PEERS).filter(|waited| *waited > QUIET_WAITED);
    let usual = usual.map(|waited| format!("for {} % of the time", shown(Some(waited))));
    let most = results.most_of_all(WAITED, &PEERS).filter(|(_, _, waited)| *waited > DISTURBED_WAITED);
    let most = most
        .map(|(work, peer, waited)| format!("for {} % in a round of {peer}, {work}", shown(Some(waited))));
    let both: Vec<String> = usual.into_iter().chain(most).collect();
    if both.is_empty() {
        return String::new();
    }
    format!(
        "Other programs ran meanwhile: server or load waited for its CPU {}. Measure again when the machine is \
         quiet.\n",
        both.join(", and ")
    )
}

fn bases(peers: &[Peer]) -> impl Iterator<Item = Peer> {
    BASES.into_iter().filter(|base| peers.contains(base) && peers.contains(&Peer::Porter))
}

fn row<'a>(cells: impl Iterator<Item = &'a str>) -> String {
    format!("| {} |", cells.collect::<Vec<_>>().join(" | "))
}

/// The median, and behind it the least and the most of the rounds where there were several.
fn with_span(summary: Option<Summary>) -> String {
    match summary {
        Some(Summary { median, least, most, rounds: 2.. }) => {
            format!("{} ({}..{})", shown(Some(median)), shown(Some(least)), shown(Some(most)))
        }
        summary => shown(summary.map(|summary| summary.median)),
    }
}

/// Three digits, or all of those before the point, grouped; a dash for what was not measured.
pub(crate) fn shown(figure: Option<f64>) -> String {
    let Some(figure) = figure else {
        return "-".to_owned();
    };
    let decimals = match figure {
        figure if figure >= 99.95 => 0,
        figure if figure >= 9.995 => 1,
        _ => 2,
    };
    let text = format!("{figure:.decimals$}");
    if decimals > 0 || text.len() < 5 {
        return text;
    }
    let bytes = text.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy);
    bytes.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits_or_all_before_the_point() {
        let figures = [0.4321, 9.99, 9.999, 12.34, 99.96, 1234.5, 12345.6, 1234567.0];
        let texts = figures.map(|figure| shown(Some(figure)));
        assert_eq!(texts, ["0.43", "9.99", "10.0", "12.3", "100", "1234", "12 346", "1 234 567"]);
        assert_eq!(shown(None), "-");
    }

    #[test]
    fn every_work_is_told_of_in_which_the_load_generator_was_the_limit() {
        let mut results = Results::default();
        results.add("a room", "porter", LOAD_SHARE, 99.0);
        results.add("a room", "redis", LOAD_SHARE, 60.0);
        results.add("a visit", "redis", LOAD_SHARE, 97.0);
        let limits = limits(&results, &[Peer::Redis, Peer::Porter]);
        assert!(limits.contains("at: a room (porter); a visit (redis)."), "{limits}");
    }

    #[test]
    fn one_round_that_was_disturbed_is_told_of() {
        let mut results = Results::default();
        for waited in [0.1, 0.2, 0.1] {
            results.add("a room", "porter", WAITED, waited);
        }
        assert_eq!(disturbance(&results), "");
        results.add("a visit", "redis", WAITED, 30.0);
        assert!(disturbance(&results).contains("for 30.0 % in a round of redis, a visit"));
    }

    #[test]
    fn a_line_has_a_cell_for_each_title() {
        let peers = [Peer::Bare, Peer::Redis, Peer::Porter];
        let mut results = Results::default();
        results.begin_round(1);
        results.add("w", "bare", "m", 2.0);
        results.add("w", "porter", "m", 3.0);
        assert_eq!(lines(&results, &peers, "w", &["m"]), "| w: m | 2.00 | - | 3.00 | 1.50 | - |\n");
        results.begin_round(2);
        results.add("w", "porter", "m", 4.0);
        results.add("w", "bare", "m", 2.5);
        let wanted = "| w: m | 2.25 (2.00..2.50) | - | 3.50 (3.00..4.00) | 1.55 (1.50..1.60) | - |\n";
        assert_eq!(lines(&results, &peers, "w", &["m"]), wanted);
        assert!(head(&peers).lines().all(|line| line.matches('|').count() == 7));
    }
}
