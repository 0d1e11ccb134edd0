//! What hashes side by side cost on this machine, and how many of them pay.

use super::lanes::LANE_WIDTHS;
use std::time::Duration;

/// In which a cost is measured: a round of one hash alone.
const LONE: u32 = 1000;
/// The most that a round of all lanes may cost. One hash after the other, a login waits for the one under way, a whole
/// hash at worst, and then for its own: beside others in lanes it waits for no more than that. A tenth is added because
/// measurements are no better.
const COST_MOST: u32 = 2 * LONE + LONE / 10;

/// What a round of several hashes side by side costs, beside a round of one hash alone.
///
/// The work of the hash queue is counted in *lone rounds*, so that it means the same time however many hashes share it.
#[derive(Clone, Debug)]
pub struct LaneCosts([u32; LANE_WIDTHS.len()]);

impl LaneCosts {
    /// From how long the same number of rounds took with each of [`LANE_WIDTHS`].
    pub fn new(times: [Duration; LANE_WIDTHS.len()]) -> LaneCosts {
        let lone = times[0].as_nanos().max(1);
        LaneCosts(
            times.map(|time| {
                u32::try_from(time.as_nanos() * u128::from(LONE) / lone).unwrap_or(u32::MAX).max(1)
            }),
        )
    }

    /// Whether this many hashes side by side take no longer than a login may be kept waiting by others.
    pub fn is_bearable(time: Duration, lone: Duration) -> bool {
        time * LONE <= lone * COST_MOST
    }

    /// How many hashes at most advance side by side: as many as get the most done, of what is bearable.
    pub(super) fn lanes(&self) -> usize {
        let bearable = LANE_WIDTHS.into_iter().zip(self.0).filter(|(_, cost)| *cost <= COST_MOST);
        let best = bearable.min_by_key(|(width, cost)| u64::from(*cost) * 1000 / *width as u64);
        best.map_or(1, |(width, _)| width)
    }

    /// How many lone rounds `rounds` rounds of so many hashes at once are.
    pub(super) fn lone_rounds(&self, hashes: usize, rounds: u64) -> u64 {
        (rounds * u64::from(self.of(hashes))).div_ceil(u64::from(LONE))
    }

    /// How many rounds of so many hashes at once there are in this many lone rounds, at least one.
    pub(super) fn rounds(&self, hashes: usize, lone_rounds: u32) -> u32 {
        let rounds = u64::from(lone_rounds) * u64::from(LONE) / u64::from(self.of(hashes));
        u32::try_from(rounds).unwrap_or(u32::MAX).max(1)
    }

    fn of(&self, hashes: usize) -> u32 {
        let wide_enough = LANE_WIDTHS.into_iter().zip(self.0).find(|(width, _)| *width >= hashes);
        wide_enough.map_or(u32::MAX, |(_, cost)| cost)
    }
}

/// What a CPU with vectors of eight words does, roughly; a server measures.
impl Default for LaneCosts {
    fn default() -> LaneCosts {
        LaneCosts([LONE, LONE, 1300, 1900, 2000, 4000])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twice_the_time_of_one_hash_and_a_tenth_is_bearable() {
        let lone = Duration::from_millis(100);
        let bearable = |milliseconds| LaneCosts::is_bearable(Duration::from_millis(milliseconds), lone);
        assert!(bearable(210) && !bearable(211));
        let widest_at = |milliseconds: u64| {
            let times =
                LANE_WIDTHS.map(|width| Duration::from_millis(if width == 1 { 100 } else { milliseconds }));
            LaneCosts::new(times).lanes()
        };
        assert_eq!((widest_at(210), widest_at(211)), (LANE_WIDTHS[LANE_WIDTHS.len() - 1], 1));
    }

    #[test]
    fn rounds_and_lone_rounds_are_the_same_work() {
        let costs =
            LaneCosts::new(LANE_WIDTHS.map(|width| Duration::from_millis(if width == 1 { 2 } else { 3 })));
        assert_eq!((costs.lone_rounds(1, 100), costs.rounds(1, 100)), (100, 100));
        assert_eq!((costs.lone_rounds(2, 100), costs.rounds(2, 150)), (150, 100));
        assert_eq!(costs.lone_rounds(2, 1), 2, "begun is counted");
        assert_eq!(costs.rounds(2, 1), 1, "and something is always done");
    }
}
