//! A short list with room for `N` values, stored in place and `Copy`.

/// Up to `N` values in place: raw options, SACK blocks, cookies. `Copy`, compared by content.
#[derive(Clone, Copy)]
pub struct Bounded<T, const N: usize> {
    items: [T; N],
    len: u8,
}

impl<T: Copy + Default, const N: usize> Bounded<T, N> {
    /// An empty list.
    #[must_use]
    pub fn new() -> Self {
        const { assert!(N <= 255, "the length is kept in one byte") };
        Self {
            items: [T::default(); N],
            len: 0,
        }
    }

    /// A copy of `items`, or `None` when they are more than `N`.
    #[must_use]
    pub fn from_slice(items: &[T]) -> Option<Self> {
        let mut list = Self::new();
        list.items.get_mut(..items.len())?.copy_from_slice(items);
        list.len = u8::try_from(items.len()).ok()?;
        Some(list)
    }

    /// Appends `item`; false, and no change, when it is full.
    pub fn push(&mut self, item: T) -> bool {
        let Some(slot) = self.items.get_mut(usize::from(self.len)) else {
            return false;
        };
        *slot = item;
        self.len += 1;
        true
    }

    /// Appends all of `items`; false, and no change, when there is no room for them all.
    pub fn extend_from_slice(&mut self, items: &[T]) -> bool {
        let len = usize::from(self.len);
        let Some(room) = self.items.get_mut(len..len + items.len()) else {
            return false;
        };
        room.copy_from_slice(items);
        self.len += u8::try_from(items.len()).unwrap_or(0);
        true
    }

    /// Drops what lies behind the first `len`.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(u8::try_from(len).unwrap_or(u8::MAX));
    }

    /// The values.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        &self.items[..usize::from(self.len)]
    }

    /// The values, to change in place.
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        &mut self.items[..usize::from(self.len)]
    }
}

impl<T: Copy + Default, const N: usize> Default for Bounded<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, const N: usize> std::ops::Deref for Bounded<T, N> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.items[..usize::from(self.len)]
    }
}

impl<T: PartialEq, const N: usize> PartialEq for Bounded<T, N> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Eq, const N: usize> Eq for Bounded<T, N> {}

impl<T: std::fmt::Debug, const N: usize> std::fmt::Debug for Bounded<T, N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_means_full() {
        let mut list = Bounded::<u8, 3>::from_slice(&[1, 2]).unwrap();
        assert!(!list.extend_from_slice(&[3, 4]));
        assert_eq!(*list, [1, 2]);
        assert!(list.push(3));
        assert!(!list.push(4));
        assert_eq!(*list, [1, 2, 3]);
        assert!(Bounded::<u8, 3>::from_slice(&[0; 4]).is_none());
    }

    #[test]
    fn equality_ignores_what_was_truncated() {
        let mut list = Bounded::<u8, 4>::from_slice(&[1, 2, 3]).unwrap();
        list.truncate(1);
        assert_eq!(list, Bounded::from_slice(&[1]).unwrap());
    }
}
