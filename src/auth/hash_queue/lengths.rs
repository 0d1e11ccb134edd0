//! How many jobs of a round-robin come up in its next rounds, without a look at each of its queues.

/// For every length, how many queues are longer: so the sum up to a number of rounds is how many jobs come up in them, one
/// of each queue in a round.
///
/// A Fenwick tree, in which one queue's growing by a job, and such a sum, take as many steps as the longest length has
/// binary digits.
#[derive(Debug, Default)]
pub(super) struct Lengths {
    /// Of a length that is a power of two. The place before the first is left out.
    sums: Vec<u64>,
}

impl Lengths {
    /// A queue that had so many jobs has one more.
    pub(super) fn lengthen(&mut self, length: u64) {
        let at = length as usize + 1;
        while self.sums.len() < at {
            self.double();
        }
        self.change(at, |sum| sum + 1);
    }

    /// A queue that had so many jobs has one less.
    pub(super) fn shorten(&mut self, length: u64) {
        self.change(length as usize, |sum| sum - 1);
    }

    /// The jobs that come up in so many rounds.
    pub(super) fn jobs(&self, rounds: u64) -> u64 {
        let mut at = usize::try_from(rounds).map_or(self.sums.len(), |rounds| rounds.min(self.sums.len()));
        let mut jobs = 0;
        while at > 0 {
            jobs += self.sums[at - 1];
            at &= at - 1;
        }
        jobs
    }

    fn change(&mut self, mut at: usize, change: impl Fn(u64) -> u64) {
        while let Some(sum) = self.sums.get_mut(at - 1) {
            *sum = change(*sum);
            at += at & at.wrapping_neg();
        }
    }

    /// The last place of twice the length sums up all that there is.
    fn double(&mut self) {
        let length = (self.sums.len() * 2).max(1);
        let all = self.sums.last().copied().unwrap_or_default();
        self.sums.resize(length, 0);
        self.sums[length - 1] = all;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_counts_what_a_look_at_each_queue_would(changes in prop::collection::vec((0..9_usize, 0..3_u8), 0..400)) {
            let (mut lengths, mut queues) = (Lengths::default(), [0_u64; 9]);
            for (queue, change) in changes {
                // Queues grow more often than not.
                if change > 0 {
                    lengths.lengthen(queues[queue]);
                    queues[queue] += 1;
                } else if queues[queue] > 0 {
                    lengths.shorten(queues[queue]);
                    queues[queue] -= 1;
                }
                for rounds in [0, 1, 2, 3, 7, 8, 50, u64::MAX] {
                    let counted: u64 = queues.iter().map(|length| rounds.min(*length)).sum();
                    prop_assert_eq!(lengths.jobs(rounds), counted);
                }
            }
        }
    }
}
