//! The rounds of PBKDF2-HMAC-MD5, for several hashes side by side.
//!
//! A hash is one chain of dependent steps, which keeps one of a core's execution units busy and leaves the others idle.
//! Hashes of different passwords do not depend on each other: so they advance in lanes, one hash a lane, and the
//! compiler makes of each loop over lanes what the CPU has for it: interleaved scalar code for a few lanes, vectors
//! for more, as wide as the CPU turns out to have at run time.
//!
//! A round is two MD5 compressions (RFC 1321, section 3.4) of one block each. The block holds the 16 bytes that the
//! compression before gave, then padding that is always the same: those twelve words are folded into the constants.
//!
//! A program that uses porter builds it without optimisation at first, and nothing said here can change that. So what one
//! hash alone takes is written as it would be compiled: straight on, without loops, calls or tables. That is as fast as
//! before where the compiler optimises, and within twice that where it does not, instead of thirty times.

use multiversion::multiversion;
use zeroize::Zeroize;

/// How many hashes can advance side by side; others take the next wider one, and leave lanes empty.
///
/// Left out is what did not pay: 64, since 32 keep the widest vectors busy.
pub const LANE_WIDTHS: [usize; 6] = [1, 2, 4, 8, 16, 32];

/// The four words of an MD5 state.
pub(super) type Words = [u32; 4];

/// Where one hash stands between two rounds.
pub(super) struct Chain {
    /// HMAC's state after the block of the inner key.
    pub(super) inner: Words,
    /// The same of the outer key.
    pub(super) outer: Words,
    /// The last round's output.
    pub(super) last: Words,
    /// All rounds' outputs, added without carry.
    pub(super) sum: Words,
}

impl Drop for Chain {
    fn drop(&mut self) {
        let Chain { inner, outer, last, sum } = self;
        [inner, outer, last, sum].into_iter().for_each(Zeroize::zeroize);
    }
}

/// A state of each lane's.
type Row<const L: usize> = [[u32; L]; 4];

/// Several chains, turned so that the same word of each lies side by side.
struct Lanes<const L: usize> {
    inner: Row<L>,
    outer: Row<L>,
    last: Row<L>,
    sum: Row<L>,
}

impl<const L: usize> Drop for Lanes<L> {
    fn drop(&mut self) {
        let Lanes { inner, outer, last, sum } = self;
        [inner, outer, last, sum].into_iter().for_each(Zeroize::zeroize);
    }
}

/// Does `rounds` rounds of each chain, at most as many chains as the widest width.
pub(super) fn advance<T>(all: &mut [T], chain: impl Fn(&mut T) -> &mut Chain, rounds: u32) {
    match all.len() {
        0 => {}
        1 => advance_one(chain(&mut all[0]), rounds),
        // So few lanes are better off without vectors, whatever the CPU is.
        2 => side_by_side(all, chain, rounds, advance_2),
        3..=4 => side_by_side(all, chain, rounds, advance_4),
        5..=8 => side_by_side(all, chain, rounds, advance_8),
        9..=16 => side_by_side(all, chain, rounds, advance_16),
        _ => side_by_side(all, chain, rounds, advance_32),
    }
}

/// Does `rounds` rounds of `hashes` hashes side by side, of nobody's password: to measure what they cost.
pub fn exercise_lanes(hashes: usize, rounds: u32) {
    let words = std::hint::black_box([1; 4]);
    let mut chains: Vec<Chain> =
        (0..hashes).map(|_| Chain { inner: words, outer: words, last: words, sum: words }).collect();
    advance(&mut chains, |chain| chain, rounds);
    std::hint::black_box(chains.iter().map(|chain| chain.sum[0]).max());
}

fn side_by_side<T, const L: usize>(
    all: &mut [T],
    chain: impl Fn(&mut T) -> &mut Chain,
    rounds: u32,
    advance: fn(&mut Lanes<L>, u32),
) {
    debug_assert!(all.len() <= L);
    let mut lanes = Lanes { inner: [[0; L]; 4], outer: [[0; L]; 4], last: [[0; L]; 4], sum: [[0; L]; 4] };
    for (lane, one) in all.iter_mut().enumerate() {
        let chain = chain(one);
        put(&mut lanes.inner, lane, chain.inner);
        put(&mut lanes.outer, lane, chain.outer);
        put(&mut lanes.last, lane, chain.last);
        put(&mut lanes.sum, lane, chain.sum);
    }
    advance(&mut lanes, rounds);
    for (lane, one) in all.iter_mut().enumerate() {
        let chain = chain(one);
        chain.last = lane_of(&lanes.last, lane);
        chain.sum = lane_of(&lanes.sum, lane);
    }
}

/// The same loops, compiled for each kind of CPU; which kind this one is, is found out at the first call.
macro_rules! for_each_cpu {
    ($($name:ident: $lanes:literal),*) => { $(
        #[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
        fn $name(lanes: &mut Lanes<$lanes>, rounds: u32) {
            advance_lanes(lanes, rounds);
        }
    )* };
}

/// Not inlined, so that there is one of each: all of them are long.
#[inline(never)]
fn advance_2(lanes: &mut Lanes<2>, rounds: u32) {
    advance_lanes(lanes, rounds);
}

#[inline(never)]
fn advance_4(lanes: &mut Lanes<4>, rounds: u32) {
    advance_lanes(lanes, rounds);
}

for_each_cpu!(advance_8: 8, advance_16: 16, advance_32: 32);

#[inline(always)]
fn advance_lanes<const L: usize>(lanes: &mut Lanes<L>, rounds: u32) {
    // Copies, so that the compiler sees that nothing else looks at them meanwhile.
    let (inner, outer, mut last, mut sum) = (lanes.inner, lanes.outer, lanes.last, lanes.sum);
    for _ in 0..rounds {
        last = compress(&outer, &compress(&inner, &last));
        for (sum, last) in sum.iter_mut().zip(&last) {
            for (sum, last) in sum.iter_mut().zip(last) {
                *sum ^= last;
            }
        }
    }
    (lanes.last, lanes.sum) = (last, sum);
}

#[inline(never)]
fn advance_one(chain: &mut Chain, rounds: u32) {
    let (inner, outer, mut last, [mut a, mut b, mut c, mut d]) =
        (chain.inner, chain.outer, chain.last, chain.sum);
    for _ in 0..rounds {
        last = compress_one(&outer, &compress_one(&inner, &last));
        let [last_a, last_b, last_c, last_d] = last;
        (a, b, c, d) = (a ^ last_a, b ^ last_b, c ^ last_c, d ^ last_d);
    }
    (chain.last, chain.sum) = (last, [a, b, c, d]);
}

#[inline(always)]
fn lane_of<const L: usize>(row: &Row<L>, lane: usize) -> Words {
    [row[0][lane], row[1][lane], row[2][lane], row[3][lane]]
}

#[inline(always)]
fn put<const L: usize>(row: &mut Row<L>, lane: usize, words: Words) {
    for (row, word) in row.iter_mut().zip(words) {
        row[lane] = word;
    }
}

/// One step: the first word takes its sum, and in the next step the last word is the first.
macro_rules! step {
    ($round:tt, $a:ident $b:ident $c:ident $d:ident, $block:ident, $step:expr) => {
        let word = if const { word_of($step) < 4 } { $block[const { word_of($step) % 4 }] } else { 0 };
        let sum = $a
            .wrapping_add(const { SINES[$step].wrapping_add(padding(word_of($step))) })
            .wrapping_add(word)
            .wrapping_add(mixed!($round, $b $c $d));
        // Not `rotate_left`, which where nothing is optimised takes as long as the rest of the step.
        $a = (sum << const { TURNS[$step / 16][$step % 4] } | sum >> const { 32 - TURNS[$step / 16][$step % 4] })
            .wrapping_add($b);
    };
}

/// What a round makes of three words. The first two are the standard's (b & c) | (!b & d) and (b & d) | (c & !d) with an
/// operation less.
macro_rules! mixed {
    (0, $b:ident $c:ident $d:ident) => {
        $d ^ ($b & ($c ^ $d))
    };
    (1, $b:ident $c:ident $d:ident) => {
        $c ^ ($d & ($b ^ $c))
    };
    (2, $b:ident $c:ident $d:ident) => {
        $b ^ $c ^ $d
    };
    (3, $b:ident $c:ident $d:ident) => {
        $c ^ ($b | !$d)
    };
}

/// Steps four at a time, after which each word is in its own place again.
macro_rules! steps {
    ($round:tt, $a:ident $b:ident $c:ident $d:ident, $block:ident: $($step:literal)*) => { $(
        step!($round, $a $b $c $d, $block, $step);
        step!($round, $d $a $b $c, $block, $step + 1);
        step!($round, $c $d $a $b, $block, $step + 2);
        step!($round, $b $c $d $a, $block, $step + 3);
    )* };
}

/// MD5's compression, of a block that is these four words and then the padding.
#[inline(always)]
fn compress_one(from: &Words, block: &Words) -> Words {
    let [mut a, mut b, mut c, mut d] = *from;
    steps!(0, a b c d, block: 0 4 8 12);
    steps!(1, a b c d, block: 16 20 24 28);
    steps!(2, a b c d, block: 32 36 40 44);
    steps!(3, a b c d, block: 48 52 56 60);
    [a.wrapping_add(from[0]), b.wrapping_add(from[1]), c.wrapping_add(from[2]), d.wrapping_add(from[3])]
}

/// Some of the 64 steps, for one lane after the other: few enough that a CPU which works ahead is at the next
/// lanes before the last are done, many enough that the loop becomes vectors and the state stays in registers.
macro_rules! lane_steps {
    ($state:ident, $block:ident, $round:tt: $($step:literal)*) => {
        for lane in 0..L {
            let block = lane_of($block, lane);
            let [mut a, mut b, mut c, mut d] = lane_of(&$state, lane);
            steps!($round, a b c d, block: $($step)*);
            put(&mut $state, lane, [a, b, c, d]);
        }
    };
}

/// The same in each lane. How many steps a loop has was found by measuring: four keep few lanes' scalar code interleaved,
/// sixteen let vectors form.
#[inline(always)]
fn compress<const L: usize>(from: &Row<L>, block: &Row<L>) -> Row<L> {
    let mut state = *from;
    if L <= 4 {
        lane_steps!(state, block, 0: 0);
        lane_steps!(state, block, 0: 4);
        lane_steps!(state, block, 0: 8);
        lane_steps!(state, block, 0: 12);
        lane_steps!(state, block, 1: 16);
        lane_steps!(state, block, 1: 20);
        lane_steps!(state, block, 1: 24);
        lane_steps!(state, block, 1: 28);
        lane_steps!(state, block, 2: 32);
        lane_steps!(state, block, 2: 36);
        lane_steps!(state, block, 2: 40);
        lane_steps!(state, block, 2: 44);
        lane_steps!(state, block, 3: 48);
        lane_steps!(state, block, 3: 52);
        lane_steps!(state, block, 3: 56);
        lane_steps!(state, block, 3: 60);
    } else {
        lane_steps!(state, block, 0: 0 4 8 12);
        lane_steps!(state, block, 1: 16 20 24 28);
        lane_steps!(state, block, 2: 32 36 40 44);
        lane_steps!(state, block, 3: 48 52 56 60);
    }
    for (state, from) in state.iter_mut().zip(from) {
        for (state, from) in state.iter_mut().zip(from) {
            *state = state.wrapping_add(*from);
        }
    }
    state
}

/// Which of the block's words a step adds.
const fn word_of(step: usize) -> usize {
    match step / 16 {
        0 => step,
        1 => (5 * step + 1) % 16,
        2 => (3 * step + 5) % 16,
        _ => 7 * step % 16,
    }
}

/// What is in the block after its four words: a bit that ends the message, and how many bits it has, the key's block
/// included.
const fn padding(word: usize) -> u32 {
    match word {
        4 => 0x80,
        14 => (64 + 16) * 8,
        _ => 0,
    }
}

/// By how many bits a step turns its sum.
const TURNS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];

/// The integer part of 2^32 |sin(step + 1)|.
const SINES: [u32; 64] = [
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
];
