//! Values of every type, the same in each run.

use super::showcase::{Chain, Color, Counted, Everything, Flagged, Inner, Outcome, Tree};
use proptest::prelude::Rng;
use proptest::test_runner::{TestRng, TestRunner};

pub(super) struct Values(TestRng);

impl Values {
    pub(super) fn new() -> Self {
        Self(TestRunner::deterministic().new_rng())
    }

    fn below(&mut self, end: u32) -> u32 {
        self.0.next_u32() % end
    }

    fn many<T>(&mut self, most: u32, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let count = self.below(most + 1);
        (0..count).map(|_| one(self)).collect()
    }

    fn bytes(&mut self, most: u32) -> Vec<u8> {
        self.many(most, |values| values.0.next_u32() as u8)
    }

    /// C's strings have no zeros.
    fn text(&mut self, most: u32) -> String {
        let letters = self.many(most, |values| b' ' + values.below(95) as u8);
        letters.into_iter().map(char::from).collect()
    }

    fn color(&mut self) -> Color {
        [Color::Red, Color::Green, Color::Blue][self.below(3) as usize]
    }

    fn inner(&mut self) -> Inner {
        Inner {
            i: self.0.next_u32() as i32,
            u: self.0.next_u32(),
            h: self.0.next_u64() as i64,
            uh: self.0.next_u64(),
            f: f32::from_bits(self.0.next_u32()),
            d: f64::from_bits(self.0.next_u64()),
            b: self.below(2) == 1,
            c: self.color(),
        }
    }

    fn outcome(&mut self) -> Outcome {
        match self.below(3) {
            0 => Outcome::Red(self.0.next_u32() as i32),
            1 => Outcome::Green(self.text(20)),
            _ => Outcome::Default(Color::Blue),
        }
    }

    fn counted(&mut self) -> Counted {
        match self.below(3) {
            0 => Counted::Case1(0.5),
            1 => Counted::Case2(f64::from(self.0.next_u32())),
            _ => Counted::Default(self.below(9) as i32 - 9, self.inner()),
        }
    }

    fn tree(&mut self, depth: u32) -> Option<Box<Tree>> {
        if self.below(3) == 0 || depth == 0 {
            return None;
        }
        Some(Box::new(Tree {
            left: self.tree(depth - 1),
            right: self.tree(depth - 1),
            leaf: self.0.next_u32(),
        }))
    }

    pub(super) fn everything(&mut self) -> Everything {
        let mut hash = [0; 16];
        self.0.fill_bytes(&mut hash);
        Everything {
            one: self.inner(),
            two: [self.inner(), self.inner()],
            many: self.many(3, Self::inner),
            hash,
            tail: self.bytes(9),
            exact: [self.below(256) as u8, 0, 255],
            who: self.text(32),
            unbounded: self.text(200),
            friends: self.many(5, |values| values.text(32)),
            nums: self.many(40, |values| values.0.next_u32() as i32),
            square: [1, -1, i32::MAX, i32::MIN],
            outcomes: [self.outcome(), self.outcome(), self.outcome()],
            flag: match self.below(2) {
                0 => Flagged::False,
                _ => Flagged::True(self.bytes(100)),
            },
            count: self.counted(),
            links: self.many(20, |values| Chain {
                value: values.0.next_u32() as i32,
            }),
            root: self.tree(5),
            maybe: match self.below(2) {
                0 => None,
                _ => Some(Box::new(self.inner())),
            },
        }
    }
}
