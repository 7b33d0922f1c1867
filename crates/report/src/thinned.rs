//! A series of which evenly as much is kept as there is room for.

/// At first every item is kept; when the room is full, every second one, and so on.
#[derive(Clone, Debug)]
pub(crate) struct Thinned<T> {
    kept: Vec<T>,
    seen: u64,
    stride: u64,
    max: usize,
}

impl<T> Thinned<T> {
    /// Keeps `max` items at most; an even number.
    pub(crate) const fn new(max: usize) -> Self {
        assert!(max >= 2 && max.is_multiple_of(2), "halves are kept");
        Self {
            kept: Vec::new(),
            seen: 0,
            stride: 1,
            max,
        }
    }

    pub(crate) fn push(&mut self, item: T) {
        let number = self.seen;
        self.seen += 1;
        if !number.is_multiple_of(self.stride) {
            return;
        }
        if self.kept.len() == self.max {
            let mut number = 0;
            self.kept.retain(|_| {
                number += 1;
                number % 2 == 1
            });
            self.stride *= 2;
        }
        // `max` is even, so that what comes when the room is full is one of the kept.
        self.kept.push(item);
    }

    /// How many there were.
    pub(crate) const fn seen(&self) -> u64 {
        self.seen
    }

    /// One of how many is kept.
    pub(crate) const fn stride(&self) -> u64 {
        self.stride
    }

    pub(crate) fn kept(&self) -> &[T] {
        &self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_every_nth() {
        for count in [0, 1, 7, 8, 9, 15, 16, 17, 1000] {
            let mut series = Thinned::new(8);
            (0..count).for_each(|n| series.push(n));
            assert_eq!(series.seen(), count);
            let every: Vec<u64> = (0..count).step_by(series.stride() as usize).collect();
            assert_eq!(series.kept(), every, "of {count}");
            assert!(series.kept().len() <= 8);
            assert!(count <= 8 || series.kept().len() > 4, "of {count}");
        }
    }
}
